"""The file of calibrations in the user's cache folder: one record for each key."""

import json
import os
from pathlib import Path
from typing import Any

import cattrs
from platformdirs import user_cache_path

from lipar.files.locks import take_lock
from lipar.files.owner import write_whole
from lipar_lab.plan.calibration import Calibration, CalibrationError
from lipar_lab.plan.key import CalibrationKey

VARIABLE = "LIPAR_CALIBRATION"
"""Environment variable that names another file."""
FORMAT = 1
"""Changes when older records can no longer be read."""


def calibration_path(chosen: Path | None = None) -> Path:
    """The file: the one that was chosen, that of `LIPAR_CALIBRATION`, or `lipar/calibration.json` in the cache folder.

    The cache folder is that of the platform; on Linux `$XDG_CACHE_HOME`, by default `~/.cache`.

    Args:
        chosen: from the command line.
    """
    if chosen is not None:
        return chosen
    named = os.environ.get(VARIABLE)
    return Path(named) if named else user_cache_path("lipar", appauthor=False) / "calibration.json"


class CalibrationFile:
    """Reads and replaces the records of a file; the file need not exist.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> list[Calibration]:
        """All records.

        Raises:
            CalibrationError: the file is no such file.
        """
        try:
            text = self.path.read_text("utf-8")
        except FileNotFoundError:
            return []
        try:
            table = json.loads(text)
            if table["format"] != FORMAT:
                raise ValueError(f"format {table['format']}")
            return cattrs.structure(table["records"], list[Calibration])
        except (ValueError, KeyError, TypeError, cattrs.BaseValidationError) as error:
            raise CalibrationError(
                f"{self.path} holds no calibrations that this lipar can read; remove it, or name another file by "
                f"--calibration or {VARIABLE}"
            ) from error

    def find(self, key: CalibrationKey) -> Calibration | None:
        """The record of a key; None: there is none.

        Raises:
            CalibrationError: the file is no such file.
        """
        return next((record for record in self.read() if record.key == key), None)

    def put(self, calibration: Calibration) -> None:
        """Store a record in place of the one with its key; the file is replaced in a single step.

        Raises:
            CalibrationError: the file is no such file.
            OSError: its folder cannot be made or written to.
        """
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.with_name(f".{self.path.name}.lock").open("a") as lock:
            take_lock(lock.fileno(), wait=True)  # two calibrations may end at the same time
            others = [record for record in self.read() if record.key != calibration.key]
            table: dict[str, Any] = {
                "format": FORMAT,
                "records": cattrs.unstructure([*others, calibration]),
            }
            write_whole(self.path, json.dumps(table, indent=1) + "\n")
