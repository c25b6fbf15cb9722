"""The record of an ablation: one JSON line per finished cell, appended as it comes."""

import json
from pathlib import Path
from typing import Any

from lipar.ablation.plan import Cell, Plan


class Record:
    """Lines of `cells.jsonl` in a folder; an interrupted ablation goes on from them.

    Args:
        folder: made where it is missing.
        plan: what the cells belong to.

    Raises:
        ValueError: the folder holds cells of another plan.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.path = folder / "cells.jsonl"
        self.lines: list[dict[str, Any]] = []
        self._settings = {row.name: list(row.settings) for row in plan.rows}
        folder.mkdir(parents=True, exist_ok=True)
        same = plan.sameness()
        if not self.path.exists():
            self._write({"what": "plan", **same})
        else:
            self._resume(same)

    def _resume(self, same: dict[str, Any]) -> None:
        text = self.path.read_text("utf-8")
        whole = text[: text.rfind("\n") + 1]
        if len(whole) < len(text):  # the last line was cut off
            self.path.write_text(whole, "utf-8")
        head, *lines = [json.loads(line) for line in whole.splitlines()] or [{}]
        if head != {"what": "plan", **same}:
            raise ValueError(
                f"{self.path} holds cells of other clips or of another config; name another --out, or delete it"
            )
        # a row whose settings changed is run again
        self.lines = [line for line in lines if line["settings"] == self._settings.get(line["row"])]

    def add(self, line: dict[str, Any]) -> None:
        """Keep a line, on disk at once."""
        self._write(line)
        self.lines.append(line)

    def _write(self, line: dict[str, Any]) -> None:
        with self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def of(self, what: str) -> list[dict[str, Any]]:
        """The lines of a kind: `cell`, `time`, `mechanism`."""
        return [line for line in self.lines if line["what"] == what]

    def done(self) -> set[Cell]:
        """Cells that need not be run again."""
        return {Cell.of(line) for line in self.of("cell")}
