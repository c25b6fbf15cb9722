"""The cells as a table in a file: always CSV, and Parquet where pyarrow is installed."""

from collections.abc import Sequence
from pathlib import Path

from lipar.files import tables
from lipar_lab.ablation.statistics import Line


def flat(line: Line) -> dict[str, str | int | float | None]:
    """A line of the record with one value per key: metrics and axes get columns of their own, settings become text.

    Args:
        line: of the kind `cell`.
    """
    found: dict[str, str | int | float | None] = {}
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


def write_csv(path: Path, cells: Sequence[Line]) -> None:
    """Write one line per cell; what is not known is empty.

    Args:
        path: of the file.
        cells: lines of the record.
    """
    path.write_text(tables.csv_text([flat(cell) for cell in cells]), "utf-8", newline="")


def write_parquet(path: Path, cells: Sequence[Line]) -> None:
    """Write one row per cell; what is not known is null.

    Args:
        path: of the file.
        cells: lines of the record.
    """
    tables.write_parquet(path, [flat(cell) for cell in cells])
