"""The page of a clip as text; `test_player.py` opens it in a browser."""

import json
import re
from pathlib import Path
from typing import Any

import attrs
import pytest
from comparison_toys import COLS, FIGURES, FRAMES, ROWS, comparison, moving_mask, toy_content

from lipar_lab.compare.index_page import index_of
from lipar_lab.compare.page import page_of
from lipar_lab.compare.page_content import PageContent
from lipar_lab.compare.player import SCRIPTS, player_data

HOSTILE = "</script><script>alert(1)</script>"


@pytest.fixture(scope="module")
def content() -> PageContent:
    return toy_content()


def test_the_data_of_the_player_names_what_can_be_chosen(content: PageContent) -> None:
    data: dict[str, Any] = player_data(content)
    assert (data["frames"], data["rows"], data["cols"], data["fps"]) == (FRAMES, ROWS, COLS, 24)
    labels = [side["label"] for side in data["sides"]]
    assert labels == [
        *("source", "dense", "as configured", "recovery=none"),
        *(f"source, pruned tokens grey: {name}" for name in ("as configured", "recovery=none")),
    ]
    assert [side["mask"] for side in data["sides"]] == [None, None, 0, 1, 0, 1]
    assert [side["grey"] for side in data["sides"]] == [False] * 4 + [True] * 2
    assert data["views"] == {"dense": [1, 2], "grey": [0, 4]}
    assert data["masks"][0]["runs"] == moving_mask(2).runs
    assert len(data["latent_of"]) == FRAMES


def test_names_from_outside_do_not_end_the_data_or_the_page() -> None:
    page = page_of(toy_content(clip=HOSTILE, prompt=HOSTILE, second=HOSTILE), FIGURES)
    assert "<script>alert" not in page
    found = re.search(r'<script type="application/json" id="player-data">(.*?)</script>', page)
    assert found is not None and HOSTILE in [side["label"] for side in json.loads(found[1])["sides"]]


def test_a_second_dense_run_moves_the_variants(content: PageContent) -> None:
    two = attrs.evolve(
        content, dense=[*content.dense, attrs.evolve(content.dense[0], name="dense of seed=1")]
    )
    data = player_data(two)
    assert data["views"] == {"dense": [1, 3], "grey": [0, 5]}
    assert [side["mask"] for side in data["sides"]] == [None, None, None, 0, 1, 0, 1]


def test_a_speed_up_that_cannot_be_told_is_said_so(content: PageContent) -> None:
    row = comparison("as configured", speedup=None, speedup_range=None, speedup_verdict="too short")
    short = attrs.evolve(content, variants=[attrs.evolve(content.variants[0], row=row)])
    page = page_of(short, FIGURES)
    assert "too short to tell" in page and "All variants have the same config" in page


def test_a_clip_of_one_block_has_nothing_to_measure(content: PageContent) -> None:
    page = page_of(attrs.evolve(content, measured_from=FRAMES), FIGURES)
    assert "nothing to measure" in page


def test_scripts_are_short_strict_modules_without_addresses() -> None:
    import lipar_lab.compare

    folder = Path(lipar_lab.compare.__path__[0])
    assert {path.name for path in folder.glob("*.js")} == set(SCRIPTS)
    for name in SCRIPTS:
        text = (folder / name).read_text()
        assert len(text.splitlines()) <= 250 and "http" not in text and "innerHTML" not in text


def test_the_index_links_to_the_page_of_each_clip() -> None:
    rows = [comparison("as configured", clip=HOSTILE)]
    page = index_of(
        [("a.html", rows), ("b.html", [comparison("as configured")])], HOSTILE, {"command": "lipar"}
    )
    assert 'href="a.html"' in page and 'href="b.html"' in page and "<script" not in page
    assert "31.3 dB" in page and "2 clips" in page
