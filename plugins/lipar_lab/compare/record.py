"""The rows of `lipar compare` in a JSON file, written as soon as each is finished and reused by the next run."""

import hashlib
import json
import math
from pathlib import Path
from typing import Any

import attrs

from lipar.config import Config
from lipar.files.content import file_digest
from lipar.files.owner import Outputs
from lipar.video import VideoError
from lipar_lab.compare.comparison import Comparison

_BOUND_TO = "bound_to"


class ComparisonRecord:
    """A JSON list of rows, complete on disk after every row (implements `lipar_lab.compare.rows.KeepsRows`).

    Each row has a digest of everything it depends on, by which the next run finds it. Rows of other comparisons are
    kept; a row of the same clip and variant with another digest is replaced once it has been run again.

    Args:
        path: absolute path, links resolved; claimed by `outputs`.
        outputs: owner of the file, which keeps other runs from writing it.
        taken_on: what all rows of this run depend on in addition to clip and config, such as prompt and weights.

    Raises:
        VideoError: the file exists and contains no rows of a comparison.
    """

    def __init__(self, path: Path, outputs: Outputs, taken_on: dict[str, Any]) -> None:
        self.path, self._outputs, self._taken_on = path, outputs, taken_on
        self._rows = _read(path) if path.exists() and path.stat().st_size else []
        self._current: set[str] = set()
        """Digests of the rows that this run has measured or found."""
        self._clips: dict[Path, str] = {}
        self.found = 0
        """Number of rows that were in the file and need not be run again."""

    def find(self, clip: Path, variant: str, config: Config) -> Comparison | None:
        """The row with the same clip, variant, config and everything else it depends on; None: there is none."""
        digest = self.digest(clip, variant, config)
        row = next((_row(found) for found in self._rows if found.get(_BOUND_TO) == digest), None)
        if row is not None:
            self._current.add(digest)
            self.found += 1
        return row

    def add(self, clip: Path, row: Comparison, config: Config) -> None:
        """Add a row and rewrite the file."""
        digest = self.digest(clip, row.variant, config)
        figures = attrs.asdict(row) | {"psnr": row.psnr if math.isfinite(row.psnr) else None}
        self._rows = [other for other in self._rows if not self._is_replaced(other, row, digest)]
        self._rows.append({**figures, _BOUND_TO: digest})
        self._current.add(digest)
        self._outputs.rewrite(self.path, json.dumps(self._rows, indent=1) + "\n")

    def _is_replaced(self, other: dict[str, Any], row: Comparison, digest: str) -> bool:
        bound_to = other.get(_BOUND_TO)
        # two clips with the same name have rows with the same name; both are kept
        same = (other["clip"], other["variant"]) == (row.clip, row.variant)
        return bound_to == digest or (same and bound_to not in self._current)

    def digest(self, clip: Path, variant: str, config: Config) -> str:
        """SHA-256 of everything that the row of a clip, a variant and a config depends on."""
        if clip not in self._clips:
            self._clips[clip] = file_digest(clip)
        parts = {
            **self._taken_on,
            "clip": (clip.stem, self._clips[clip]),
            "variant": variant,
            "config": attrs.asdict(config),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def _read(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text("utf-8", errors="replace"))
    except (ValueError, RecursionError):
        rows = None
    if not isinstance(rows, list) or not all(
        isinstance(r, dict) and {"clip", "variant"} <= r.keys() for r in rows
    ):
        raise VideoError(
            f"{path} exists and contains no rows of `lipar compare`; name another file, or delete it"
        )
    return rows


def _row(found: dict[str, Any]) -> Comparison | None:
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in found.items()
    }
    del values[_BOUND_TO]
    if values.keys() != {field.name for field in attrs.fields(Comparison)}:
        return None  # written by another version
    return Comparison(**{**values, "psnr": math.inf if found["psnr"] is None else found["psnr"]})
