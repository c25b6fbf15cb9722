"""The figures of a bench run as a JSON file."""

import json
from pathlib import Path
from typing import Any

import attrs

from lipar.files.owner import write_whole
from lipar.speedup import Ratio


def to_json(results: dict[str, Any], path: Path) -> None:
    """Write all results so far; the file is replaced as a whole.

    Args:
        results: figures by section; a `Ratio` becomes an object with its median, low, high and number of pairs.
        path: file to write.

    Raises:
        TypeError: a value is neither a `Ratio` nor something that JSON can store.
    """
    write_whole(path, json.dumps(results, indent=1, default=_plain) + "\n")


def _plain(value: Any) -> Any:
    if isinstance(value, Ratio):
        return attrs.asdict(value)
    raise TypeError(f"{type(value).__name__} cannot be stored in the results")
