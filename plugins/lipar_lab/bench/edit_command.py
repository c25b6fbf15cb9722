"""`lipar edit` as a process of its own, timed."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs

MAIN = "from lipar.cli import main; main()"
STAGES = {
    "reading": ("decode",),
    "encoding": ("encode",),
    "transformer": ("mask", "DiT", "clean pass", "restore"),
    "decoding": ("decode to pixels",),
    "writing": ("write",),
    "waiting": ("wait for frames", "wait for the writer", "finish"),
}
"""Stages of the report that are added up for each column."""


@attrs.frozen(kw_only=True)
class EditTimes:
    """What one run of the command took."""

    command: float
    """Wall seconds of the process, start-up, loading the model and the dense probes included."""
    cpu: float
    """Seconds of all its threads."""
    edit: float
    """Wall seconds from file to file, as the command prints them: without start-up and dense probes."""
    estimated_dense: float | None
    """`edit` with every token computed, as a pruned run estimates it; None where it could not."""
    stages: dict[str, float]
    """Wall seconds by the keys of `STAGES`; where stages overlap, they add up to more than `edit`."""
    frames: int
    kept: float
    """Fraction of the tokens that was computed."""
    source_size: tuple[int, int]
    """Width and height."""
    processed_size: tuple[int, int]


def time_edit(arguments: Sequence[str | Path], folder: Path) -> EditTimes:
    """Run `lipar edit` and time it.

    Args:
        arguments: of the command, `--output` among them.
        folder: for the log, which is replaced.

    Raises:
        RuntimeError: the command failed; the message ends with what it printed.
    """
    log = folder / "events.jsonl"
    command = [sys.executable, "-c", MAIN, "edit", *map(str, arguments), "--quiet", "--log", str(log)]
    cpu, start = _cpu_of_children(), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall, cpu = time.perf_counter() - start, _cpu_of_children() - cpu
    if done.returncode:
        raise RuntimeError(
            f"lipar edit {' '.join(map(str, arguments))} failed: {done.stderr.strip()[-2000:]}"
        )
    return of_report(json.loads(log.read_text("utf-8").splitlines()[-1])["report"], wall, cpu)


def of_report(report: dict[str, Any], wall: float, cpu: float) -> EditTimes:
    """The times from the report at the end of the event log.

    Args:
        report: fields of `lipar.events.EditReport`.
        wall: seconds of the process.
        cpu: seconds of its threads.
    """
    seconds = report["stage_seconds"]
    return EditTimes(
        command=wall,
        cpu=cpu,
        edit=report["seconds"],
        estimated_dense=report["dense_seconds"],
        stages={name: sum(seconds.get(stage, 0.0) for stage in stages) for name, stages in STAGES.items()},
        frames=report["frames"],
        kept=report["kept_fraction"],
        source_size=(report["source_size"][0], report["source_size"][1]),
        processed_size=(report["processed_size"][0], report["processed_size"][1]),
    )


def _cpu_of_children() -> float:
    times = os.times()
    return times.children_user + times.children_system
