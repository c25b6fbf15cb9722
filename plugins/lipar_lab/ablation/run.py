"""An ablation from plan to tables."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from tqdm import tqdm

from lipar.files.owner import Outputs
from lipar_lab.ablation.mechanism import clip_mechanism
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan
from lipar_lab.ablation.record import Record
from lipar_lab.ablation.report import report
from lipar_lab.ablation.timing import timed_rows
from lipar_lab.ablation.workers import run_here, run_in_workers, tasks_of


@attrs.frozen(kw_only=True)
class Outcome:
    """The result of an ablation."""

    folder: Path
    """Folder with the record and the tables."""
    text: str
    """The tables as Markdown."""
    cells: int
    """Number of cells in the plan."""
    resumed: int
    """Number of those that an earlier run had recorded."""


def run_ablation(
    plan: Plan,
    folder: Path,
    *,
    workers: int = 1,
    timing_rounds: int = 3,
    mechanism_clips: int = 0,
    left_out: dict[str, str] | None = None,
    quiet: bool = False,
) -> Outcome:
    """Run what is missing, and write `cells.jsonl` as it comes, then `results.json` and `tables.md`.

    Args:
        plan: what to run.
        folder: folder of the record; an ablation of the same clips and config continues from what is there.
        workers: number of processes; 1: only this one.
        timing_rounds: times that every row is timed; 0: no timing.
        mechanism_clips: number of clips on which donors are recorded; 0: none.
        left_out: reason by the name of each row that cannot run.
        quiet: no progress bar.

    Raises:
        ValueError: the folder contains another ablation, another run writes there, or a clip does not fit the model.
        WorkerError: a worker process failed.
    """
    with contextlib.suppress(OSError):  # `Record` raises the error that names the folder
        folder.mkdir(parents=True, exist_ok=True)
    with Outputs() as outputs:
        targets = (folder.resolve() / "tables.md", folder.resolve() / "results.json")
        unfinished = [outputs.claim(target) for target in targets if folder.is_dir()]
        record = Record(folder, plan)
        outputs.keep(record.path)
        cells = list(plan.cells())
        done = record.done() & set(cells)
        _run_missing(plan, record, done, workers, quiet)
        for line in _in_this_process(plan, record, timing_rounds, min(mechanism_clips, len(plan.clips))):
            record.add(line)
        asked = set(cells)
        wanted = [line for line in record.of("cell") if Cell.of(line) in asked]
        times, watched = record.of("time"), record.of("mechanism")
        text = report(plan, wanted, times, watched, left_out or {})
        results = {"plan": plan.sameness(), "cells": wanted, "times": times, "mechanism": watched}
        for path, written in zip(unfinished, (text, json.dumps(results) + "\n"), strict=True):
            path.write_text(written, "utf-8")
        outputs.publish()
    return Outcome(folder=folder, text=text, cells=len(cells), resumed=len(done))


def _run_missing(plan: Plan, record: Record, done: set[Cell], workers: int, quiet: bool) -> None:
    tasks = tasks_of(plan, done)
    workers = min(workers, len(tasks))
    run = run_here(plan, tasks) if workers <= 1 else run_in_workers(plan, tasks, workers)
    total = sum(1 for _ in plan.cells())
    with tqdm(total=total, initial=len(done), unit="cell", disable=quiet, mininterval=1) as bar:
        for line in run:
            record.add(line)
            bar.update()


def _in_this_process(
    plan: Plan, record: Record, timing_rounds: int, mechanism_clips: int
) -> Iterator[dict[str, Any]]:
    """The lines of timing, which needs the machine without other load, and of the mechanism."""
    timed = {line["row"] for line in record.of("time")}
    watched = {line["clip"] for line in record.of("mechanism")}
    clips = [index for index in range(mechanism_clips) if index not in watched]
    time_again = timing_rounds > 0 and not {row.name for row in plan.rows} <= timed
    if not clips and not time_again:
        return
    loaded = LoadedModel.load(plan)
    if time_again:
        yield from list(timed_rows(plan, loaded, timing_rounds))  # all or nothing
    for index in clips:
        yield from list(clip_mechanism(plan, loaded, index))
