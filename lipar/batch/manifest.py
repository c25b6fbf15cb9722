"""Manifests: tables with a clip in each line, as CSV, JSON lines or Parquet.

Nothing heavy is imported for the first two.

clip        the file; relative to the manifest
prompt      what the result should look like; a list of `MOMENT:TEXT` is a schedule (not in CSV)
seed        of the noise
output      name of the result, in the folder of the results
set         settings as `--set` takes them: a list, or a text in which semicolons separate them
KEY         any key of the config, such as `strength`, `prune.keep` or `criterion`
"""

import csv
import difflib
import importlib.util
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from lipar.bounds import shown
from lipar.config import Config

SUFFIXES = (".csv", ".jsonl", ".parquet")
OWN_COLUMNS = ("clip", "prompt", "seed", "output", "set", "model")
"""Columns that are no key of the config; `model` is short for `adapter`."""


class ManifestError(ValueError):
    """A manifest that is wrong; the message names file, line and column."""


@attrs.frozen(kw_only=True)
class Line:
    """A line of a manifest."""

    where: str
    """File and line, such as `clips.csv, line 3`."""
    cells: Mapping[str, Any]
    """Column -> value; columns without one are left out. Of CSV, all values are text."""

    def error(self, column: str, reason: object) -> ManifestError:
        """The error of one of its cells.

        Args:
            column: of the cell.
            reason: what is wrong, what must be true.
        """
        return ManifestError(f"{self.where}, column {column}: {reason}")

    def text(self, column: str) -> str | None:
        """The text in a column; None: there is none.

        Raises:
            ManifestError: it is something else than text.
        """
        value = self.cells.get(column)
        if value is None or isinstance(value, str):
            return value
        raise self.error(column, f"must be text, got {shown(value)}")


def is_manifest(path: Path) -> bool:
    """Whether a path is a manifest, by its ending."""
    return path.suffix.lower() in SUFFIXES and not path.is_dir()


def read_manifest(path: Path) -> list[Line]:
    """The lines of a manifest.

    Args:
        path: ends in one of `SUFFIXES`.

    Raises:
        ManifestError: it cannot be read, is no such table, has a column that is not known, or no clip.
        ModuleNotFoundError: it is Parquet, and pyarrow is not installed.
    """
    readers = {".csv": _read_csv, ".jsonl": _read_json_lines, ".parquet": _read_parquet}
    try:
        lines = list(readers[path.suffix.lower()](path))
    except (OSError, UnicodeDecodeError) as error:
        raise ManifestError(f"the manifest {path} cannot be read: {error}") from error
    if not lines:
        raise ManifestError(f"the manifest {path} has no line; each line is a clip")
    for line in lines:
        _check_columns(line)
        if not line.text("clip"):
            raise line.error("clip", "is empty; name a file")
    return lines


def _check_columns(line: Line) -> None:
    config = {field.name for field in attrs.fields(Config)}
    known = [*OWN_COLUMNS, *sorted(config)]
    for column in line.cells:
        first = str(column).partition(".")[0]
        if column in OWN_COLUMNS or first in config:
            continue
        near = difflib.get_close_matches(str(column), known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise line.error(
            shown(column), f"is not known; columns are {', '.join(OWN_COLUMNS)}, and keys of the config{hint}"
        )


def _read_csv(path: Path) -> Iterator[Line]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            head = [name.strip() for name in next(reader, [])]
            _check_head(path, head)
            begin = reader.line_num + 1
            for values in reader:
                where = f"{path}, line {begin}"
                begin = reader.line_num + 1
                if not any(value.strip() for value in values):
                    continue
                if len(values) != len(head):
                    raise ManifestError(
                        f"{where}: has {len(values)} cells, and the first line names {len(head)} columns; quote text "
                        "that has commas"
                    )
                cells = {name: value.strip() for name, value in zip(head, values) if value.strip()}
                yield Line(where=where, cells=cells)
        except csv.Error as error:
            raise ManifestError(f"{path}, line {reader.line_num}: {error}") from error


def _check_head(path: Path, head: list[str]) -> None:
    for name in head:
        if not name or head.count(name) > 1:
            problem = "names a column twice" if name else "has a column without a name"
            raise ManifestError(
                f"{path}, line 1, column {name or head.index(name) + 1}: the first line {problem}"
            )
    if "clip" not in head:
        raise ManifestError(
            f"{path}, line 1, column clip: is missing; the first line names the columns, got "
            f"{', '.join(head) or 'none'}"
        )


def _read_json_lines(path: Path) -> Iterator[Line]:
    for number, text in enumerate(path.read_text("utf-8-sig").split("\n"), 1):
        if not text.strip():
            continue
        where = f"{path}, line {number}"
        try:
            table = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ManifestError(f"{where}: is no JSON ({error}); each line is an object in braces") from error
        if not isinstance(table, dict):
            raise ManifestError(f'{where}: must be an object such as {{"clip": "a.mp4"}}, got {shown(table)}')
        yield _line(where, table)


def _read_parquet(path: Path) -> Iterator[Line]:
    if importlib.util.find_spec("pyarrow") is None:
        raise ModuleNotFoundError(f"{path} needs pyarrow, which is not installed: pip install 'lipar[batch]'")
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (pyarrow.ArrowException, ValueError) as error:
        raise ManifestError(f"the manifest {path} is no Parquet: {error}") from error
    if "clip" not in table.column_names:
        raise ManifestError(
            f"{path}, column clip: is missing; it has {', '.join(table.column_names) or 'none'}"
        )
    for number, cells in enumerate(table.to_pylist(), 1):
        yield _line(f"{path}, line {number}", {name: _whole(value) for name, value in cells.items()})


def _whole(value: Any) -> Any:
    """A value of Parquet: where a column has gaps, pandas writes whole numbers as fractions, and gaps as NaN."""
    if not isinstance(value, float):
        return value
    return None if math.isnan(value) else int(value) if value.is_integer() else value


def _line(where: str, cells: Mapping[str, Any]) -> Line:
    return Line(where=where, cells={name: value for name, value in cells.items() if value not in (None, "")})
