"""Sizes and names of files in the catalogue."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.catalogue.entry import ModelPart, WantedFile, sized, sizes_of


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (99_940, "99.9 kB"), (5_676_070_464, "5.7 GB"),
     (126_000_000_000, "126 GB"), (999_999, "1.0 MB"), (None, "unknown")],
)  # fmt: skip
def test_a_number_of_bytes_is_a_short_text(count: int | None, text: str) -> None:
    assert sized(count) == text


@given(st.integers(0, 10**15))
def test_a_text_of_a_size_has_at_most_nine_characters(count: int) -> None:
    assert len(str(WantedFile("a", count, exact=False))) <= 9


def test_sizes_say_how_exact_they_are() -> None:
    exact, computed, unknown = WantedFile("a", 1000), WantedFile("b", 1000, exact=False), WantedFile("c.pt")
    small = WantedFile("config.json")
    assert sizes_of([exact, small]) == "1.0 kB"
    assert sizes_of([exact, computed]) == "about 2.0 kB"
    assert sizes_of([exact, unknown]) == "at least 1.0 kB"
    assert sizes_of([unknown]) == "unknown"


@pytest.mark.parametrize("path", ["../a", "/a", "a//b", "a/../b", ".", "a b", ""])
def test_a_path_that_leaves_its_repository_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match="path must be names with / between them"):
        WantedFile(path)


@pytest.mark.parametrize("repository", ["name", "a/b/c", "../b"])
def test_a_repository_has_an_owner_and_a_name(repository: str) -> None:
    with pytest.raises(ValueError, match="repository must be"):
        ModelPart(option="folder", repository=repository, files=(WantedFile("a"),))
