"""The one kind of error for files of weights and configs that cannot be used: it names the file and what was found."""

import re
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lipar.bounds import shown

_NAMED = 3


class CheckpointError(ValueError):
    """A file or folder of weights cannot be used: names it, what was expected, and what came."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """A file of weights, or one that belongs to them, is not there."""


def unfit(path: Path, expected: str, came: str) -> CheckpointError:
    """The error of a file that holds something else."""
    return CheckpointError(f"{path}: expected {expected}, got {came}")


@contextmanager
def reading(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever a library raises on the contents of `path` into a `CheckpointError`.

    What says nothing of the contents passes: no memory, no module of that name, an error of ours.
    """
    try:
        yield
    except (CheckpointError, MemoryError, ImportError, torch.OutOfMemoryError):
        raise
    except (
        Exception
    ) as error:  # libraries raise KeyError, AttributeError and their own kinds on a damaged file
        raise unfit(path, expected, f"what cannot be used: {reason_of(error)}") from error


def reason_of(error: Exception) -> str:
    """The first sentence of a library's error, without its advice; the kind of error where that says nothing."""
    text = str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)
    first = re.split(r"\n|\. |; ", text.strip(), maxsplit=1)[0].strip().rstrip(".")
    if not first or "weights_only" in text:
        return type(error).__name__
    first = shown(first)[1:-1]
    return first if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {first}"


def some(names: Collection[str]) -> str:
    """A few of many names."""
    first = ", ".join(map(shown, sorted(names)[:_NAMED]))
    return f"{first} and {len(names) - _NAMED} more" if len(names) > _NAMED else first
