"""The cells as a table in a file: always CSV, and Parquet where pyarrow is installed."""

import csv
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lipar_lab.ablation.statistics import Line

Flat = dict[str, str | int | float | None]


def flat(line: Line) -> Flat:
    """A line of the record with one value per key: metrics and axes get columns of their own, settings become text.

    Args:
        line: of the kind `cell`.
    """
    found: Flat = {}
    for key, value in line.items():
        if key == "metrics":
            found |= value
        elif key == "at":
            found |= {f"axis {axis}": chosen for axis, chosen in value.items()}
        elif key == "settings":
            found[key] = ";".join(value)
        elif key != "what":
            found[key] = value
    return found


def columns(lines: Sequence[Flat]) -> list[str]:
    """The keys of all lines, in the order in which they first appear."""
    return list(dict.fromkeys(key for line in lines for key in line))


def write_csv(path: Path, cells: Sequence[Line]) -> None:
    """Write one line per cell; what is not known is empty.

    Args:
        path: of the file.
        cells: lines of the record.
    """
    lines = [flat(cell) for cell in cells]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns(lines), restval="")
        writer.writeheader()
        writer.writerows(lines)


def has_parquet() -> bool:
    """Whether pyarrow is installed; it is not loaded."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(path: Path, cells: Sequence[Line]) -> None:
    """Write one row per cell; what is not known is null.

    Args:
        path: of the file.
        cells: lines of the record.
    """
    import pyarrow
    import pyarrow.parquet

    lines = [flat(cell) for cell in cells]
    table: Any = pyarrow.table({key: [line.get(key) for line in lines] for key in columns(lines)})
    pyarrow.parquet.write_table(table, path)
