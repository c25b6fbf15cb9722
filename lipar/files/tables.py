"""Tables in files: CSV, and Parquet where pyarrow is installed."""

import csv
import importlib.util
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

Flat: TypeAlias = Mapping[str, str | int | float | None]
"""A line of a table: one value per column."""


def columns(lines: Sequence[Flat]) -> list[str]:
    """The keys of all lines, in the order in which they first appear."""
    return list(dict.fromkeys(key for line in lines for key in line))


def csv_text(lines: Sequence[Flat]) -> str:
    """Lines as CSV under their columns; what is not known is empty."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns(lines), restval="")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue()


def has_parquet() -> bool:
    """Whether pyarrow is installed; it is not loaded."""
    return importlib.util.find_spec("pyarrow") is not None


def write_parquet(path: Path, lines: Sequence[Flat]) -> None:
    """Write one row per line; what is not known is null.

    Args:
        path: of the file.
        lines: of the table.
    """
    import pyarrow
    import pyarrow.parquet

    table: Any = pyarrow.table({key: [line.get(key) for line in lines] for key in columns(lines)})
    pyarrow.parquet.write_table(table, path)
