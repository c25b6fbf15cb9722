"""Whatever a library raises on the contents of a file becomes one kind of error, in one line."""

from pathlib import Path

import pytest

from lipar_adapters.checkpoint_errors import CheckpointError, reading, reason_of, some


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("no such size. Try another one"), "no such size"),
        (KeyError("weight"), "KeyError: weight"),
        (RuntimeError("bad\nmuch more"), "RuntimeError: bad"),
        (RuntimeError("set weights_only=False"), "RuntimeError"),
        (AttributeError(), "AttributeError"),
    ],
)
def test_a_reason_is_the_first_sentence_without_advice(error: Exception, reason: str) -> None:
    assert reason_of(error) == reason


def test_an_error_of_the_contents_names_the_file_and_what_was_expected() -> None:
    said = "a/b: expected a tokenizer, got what cannot be used: no words"
    with pytest.raises(CheckpointError, match=said), reading(Path("a/b"), "a tokenizer"):
        raise ValueError("no words")


@pytest.mark.parametrize("kind", [MemoryError, ImportError])
def test_what_says_nothing_of_the_contents_passes(kind: type[Exception]) -> None:
    with pytest.raises(kind), reading(Path("a"), "a tokenizer"):
        raise kind


def test_of_many_names_three_are_listed() -> None:
    assert some({"d", "c", "b", "a"}) == "'a', 'b', 'c' and 1 more"
    assert some(["a"]) == "'a'"
