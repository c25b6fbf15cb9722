"""The closed vocabulary: unknown words are named with near ones, function words are ignored."""

import pytest

from lipar_adapters.tiny.vocabulary import (
    UnknownWordsWarning,
    unknown_words,
    warn_of_unknown_words,
)


def test_unknown_words_come_with_their_nearest() -> None:
    assert unknown_words("A blue ball instead of a red one; pencil sketch, warm colours") == {}
    found = unknown_words("a knight in the snw, zzzz")
    assert found == {"knight": ["night"], "snw": ["snow"], "zzzz": []}


def test_function_words_are_ignored_and_only_near_misses_are_suggested() -> None:
    assert unknown_words("Please make it look like it's snow that is falling from the sky, by my house") == {
        "falling": [],
        "sky": [],
    }
    assert unknown_words("paint van owlet spaceship dogs paintng") == {
        **{word: [] for word in ("paint", "van", "owlet", "spaceship")},
        "dogs": ["dog"],
        "paintng": ["painting"],
    }


def test_a_long_prompt_is_not_answered_by_a_longer_list() -> None:
    with pytest.warns(
        UnknownWordsWarning, match=r"'qoppa'[^\n]*, 12 more words; `lipar models show tiny` lists"
    ):
        warn_of_unknown_words("qoppa " + " ".join(f"qoppa{i}" for i in range(19)), stacklevel=1)
