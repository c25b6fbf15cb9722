"""Tables, figures, facts and code."""

import base64

import pytest
from markupsafe import Markup

from lipar.page import best_rows, code, details, facts, figure, table

HOSTILE = '"><script>alert(1)</script>&<img src=x onerror=alert(2)>'


@pytest.mark.parametrize(
    "block",
    [
        table([HOSTILE, "b"], [[HOSTILE, HOSTILE]], caption=HOSTILE, best=[(0, 0), (0, 1)]),
        figure(b"", "png", HOSTILE, HOSTILE),
        facts({HOSTILE: HOSTILE}),
        code(HOSTILE),
        details(HOSTILE, HOSTILE),
        details("a", [HOSTILE]),
    ],
)
def test_text_is_escaped_in_every_block(block: Markup) -> None:
    assert isinstance(block, Markup)
    assert "<script" not in block and "<img src=x" not in block and "&lt;script&gt;" in block


def test_a_column_of_numbers_is_aligned_and_one_of_text_only_if_it_is_named() -> None:
    made = table(
        ["clip", "PSNR", "speed-up", "note"],
        [["a", 31.5, "1.5x", "x"], ["b", None, "2x", 3]],
        numeric=["speed-up"],
    )
    assert '<th scope="col" class="number">PSNR</th>' in made
    assert '<td class="number">1.5x</td>' in made and '<td class="number">–</td>' in made
    assert "<td>x</td>" in made and "<td>3</td>" in made


def test_a_float_has_four_digits_and_an_integer_all_of_its_own() -> None:
    made = table(["a", "b"], [[0.123456, 1234567]])
    assert ">0.1235<" in made and ">1234567<" in made


def test_marked_cells_are_told_apart_by_more_than_their_colour() -> None:
    made = table(["clip", "PSNR"], [["a", 31.5], ["b", 30.0]], best=[(0, 1)])
    assert '<td class="number best"><strong>31.5</strong></td>' in made and "<strong>30" not in made


def test_a_row_that_does_not_fit_the_head_is_refused() -> None:
    with pytest.raises(ValueError, match="must have 2 cells as its head has, got 1"):
        table(["a", "b"], [["x"]])


def test_the_best_of_known_values_is_found_with_its_ties() -> None:
    assert best_rows([1.0, 3.0, None, 3.0], "higher") == [1, 3]
    assert best_rows([1.0, 3.0, None], "lower") == [0]
    assert best_rows([1.0, None], "higher") == []


def test_markup_that_is_given_stays_markup() -> None:
    assert "<kbd>m</kbd>" in table(["key"], [[Markup("<kbd>m</kbd>")]])
    assert "<kbd>m</kbd>" in facts({"key": Markup("<kbd>m</kbd>")})


def test_a_figure_holds_its_picture() -> None:
    made = figure(b"<svg/>", "svg", "a line", "Kept fraction")
    assert f"data:image/svg+xml;base64,{base64.b64encode(b'<svg/>').decode()}" in made
    assert 'alt="a line"' in made and "<figcaption>Kept fraction</figcaption>" in made


def test_a_picture_of_another_kind_is_refused() -> None:
    with pytest.raises((ValueError, TypeError)):
        figure(b"", "gif", "a")  # type: ignore[arg-type]
