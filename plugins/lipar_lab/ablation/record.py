"""The record of an ablation: one JSON line per finished cell, appended when the cell is done."""

import json
from pathlib import Path
from typing import Any

from lipar_lab.ablation.plan import Cell, Plan


class Record:
    """The lines of `cells.jsonl` in a folder, from which an interrupted ablation continues.

    Args:
        folder: folder of the file; made if it is missing.
        plan: the plan of the cells.

    Raises:
        ValueError: the file contains cells of another plan, or a line that is no line of a record.
        OSError: the folder cannot be made, or not be written to.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.path = folder / "cells.jsonl"
        self.lines: list[dict[str, Any]] = []
        self._plan = plan
        head = {"what": "plan", **plan.sameness()}
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self.path.exists():
                self._resume(head)
            else:
                self._write(head)
        except OSError as error:
            raise OSError(
                f"no record can be kept in {folder} ({error.strerror}); give --out a folder that can be written to"
            ) from error

    def _resume(self, wanted: dict[str, Any]) -> None:
        # bytes that are not UTF-8 are not JSON either; `_parsed` names their line
        text = self.path.read_text("utf-8", errors="replace")
        whole = text[: text.rfind("\n") + 1]
        head, *lines = [self._parsed(number, line) for number, line in enumerate(whole.splitlines(), 1)] or [
            {}
        ]
        if not lines:  # no cell was finished, so the file can become that of this plan
            self.path.write_text("", "utf-8")
            self._write(wanted)
            return
        if len(whole) < len(text):  # the last line was cut off
            self.path.write_text(whole, "utf-8")
        if head != wanted:
            raise ValueError(
                f"{self.path} contains cells of other clips or of another config; name another --out, or delete it"
            )
        self.lines = [line for line in lines if self._is_of_plan(line)]

    def _is_of_plan(self, line: dict[str, Any]) -> bool:
        """Whether a line need not be run again: its row has the same settings, figures and video are there."""
        rows = {row.name: row for row in self._plan.rows}
        if line["row"] not in rows or "seed" not in line:
            return False
        identity = self._plan.identity(rows[line["row"]], line["kept"])
        if any(line.get(key) != value for key, value in identity.items()):
            return False
        if line["what"] != "cell":
            return True
        video = self._plan.videos is None or (
            "video" in line and (self.path.parent / line["video"]).is_file()
        )
        return video and set(self._plan.metrics) <= line["metrics"].keys()

    def _parsed(self, number: int, text: str) -> dict[str, Any]:
        try:
            line = json.loads(text)
        except ValueError:
            line = None
        if not isinstance(line, dict) or not (
            line.get("what") == "plan" or {"row", "settings"} <= line.keys()
        ):
            raise ValueError(
                f"line {number} of {self.path} is no line of a record, but {text[:40]!r}; delete that line, or name "
                "another --out"
            )
        return line

    def add(self, line: dict[str, Any]) -> None:
        """Append a line to the file at once."""
        self._write(line)
        self.lines.append(line)

    def _write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def of(self, what: str) -> list[dict[str, Any]]:
        """The lines of one kind: `cell`, `time`, `cost` or `mechanism`; the latest of each cell."""
        if what == "cell":
            return list({Cell.of(line): line for line in self.lines if line["what"] == what}.values())
        return [line for line in self.lines if line["what"] == what]

    def done(self) -> set[Cell]:
        """Cells that are in the record and need not be run again."""
        return {Cell.of(line) for line in self.of("cell")}
