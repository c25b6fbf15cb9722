"""An ablation from plan to report."""

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
from tqdm import tqdm

from lipar.files.owner import Outputs
from lipar.files.tables import has_parquet
from lipar_lab.ablation.costs import costs, rows_without_costs
from lipar_lab.ablation.export import write_csv, write_parquet
from lipar_lab.ablation.mechanism import clip_mechanism
from lipar_lab.ablation.page import page
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan
from lipar_lab.ablation.record import Record
from lipar_lab.ablation.report import Results, report
from lipar_lab.ablation.sections import markdown
from lipar_lab.ablation.timing import rounds_of, timed_rounds
from lipar_lab.ablation.vbench import read_results
from lipar_lab.ablation.workers import run_here, run_in_workers, tasks_of

FILES = ("tables.md", "results.json", "cells.csv", "report.html")
PARQUET = "cells.parquet"


@attrs.frozen(kw_only=True)
class Outcome:
    """The result of an ablation."""

    folder: Path
    """Folder with the record and the tables."""
    files: tuple[Path, ...]
    """What was written in addition to the record."""
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
    mechanism_clips: int = 0,
    left_out: dict[str, str] | None = None,
    quiet: bool = False,
) -> Outcome:
    """Run what is missing, and write `cells.jsonl` as it comes, then the tables, the page and the cells as a table.

    Args:
        plan: what to run.
        folder: folder of the record; an ablation of the same clips and config continues from what is there.
        workers: number of processes; 1: only this one.
        mechanism_clips: number of clips on which donors are recorded; 0: none.
        left_out: reason by the name of each row that cannot run.
        quiet: no progress bar.

    Raises:
        ValueError: the folder contains another ablation, another run is writing there, or a clip does not fit the
            model.
        WorkerError: a worker process failed.
    """
    with contextlib.suppress(OSError):  # `Record` raises the error that names the folder
        folder.mkdir(parents=True, exist_ok=True)
    names = (*FILES, *([PARQUET] if has_parquet() else []))
    with Outputs() as outputs:
        targets = tuple(folder.resolve() / name for name in names)
        unfinished = [outputs.claim(target) for target in targets if folder.is_dir()]
        record = Record(folder, plan)
        outputs.keep(record.path)
        cells = list(plan.cells())
        done = record.done() & set(cells)
        _run_missing(plan, record, done, workers, quiet)
        _measure_here(plan, record, min(mechanism_clips, len(plan.clips)), quiet)
        asked = set(cells)
        results = Results(
            cells=[line for line in record.of("cell") if Cell.of(line) in asked],
            times=record.of("time"),
            costs=record.of("cost"),
            mechanism=record.of("mechanism"),
            left_out=left_out or {},
            vbench={} if plan.videos is None else read_results(plan, folder),
        )
        text = _write(plan, results, dict(zip(names, unfinished)))
        outputs.publish()
    return Outcome(
        folder=folder,
        files=tuple(folder / name for name in names),
        text=text,
        cells=len(cells),
        resumed=len(done),
    )


def _write(plan: Plan, results: Results, paths: dict[str, Path]) -> str:
    """Write all files; the tables as Markdown."""
    sections = report(plan, results)
    text = markdown(sections)
    values = {
        "plan": plan.sameness(),
        "cells": results.cells,
        "times": results.times,
        "costs": results.costs,
        "mechanism": results.mechanism,
        "not_run": results.left_out,
        "vbench": results.vbench,
    }
    paths["tables.md"].write_text(text, "utf-8")
    paths["results.json"].write_text(json.dumps(values) + "\n", "utf-8")
    paths["report.html"].write_text(page(plan, results, sections), "utf-8")
    write_csv(paths["cells.csv"], results.cells)
    if PARQUET in paths:
        write_parquet(paths[PARQUET], results.cells)
    return text


def _run_missing(plan: Plan, record: Record, done: set[Cell], workers: int, quiet: bool) -> None:
    tasks = tasks_of(plan, done)
    workers, folder = min(workers, len(tasks)), record.path.parent
    run = run_here(plan, tasks, folder) if workers <= 1 else run_in_workers(plan, tasks, workers, folder)
    total = sum(1 for _ in plan.cells())
    with tqdm(total=total, initial=len(done), unit="cell", disable=quiet, mininterval=1) as bar:
        for line in run:
            record.add(line)
            bar.update()


def _measure_here(plan: Plan, record: Record, mechanism_clips: int, quiet: bool) -> None:
    """Add the lines of time, which needs the machine without other load, of costs, and of the mechanism."""
    rows = {(row.name, kept) for kept in plan.kept for row in plan.rows_at(kept)}
    timed: dict[Any, set[Any]] = {}
    for line in record.of("time"):
        timed.setdefault((line["clip"], line["kept"], line["round"]), set()).add((line["row"], line["kept"]))
    rounds = [
        one
        for one in rounds_of(plan)
        if not {key for key in rows if key[1] == one[1]} <= timed.get(one, set())
    ]
    costly = rows_without_costs(plan, record.of("cost"))
    watched = {line["clip"] for line in record.of("mechanism")}
    clips = [index for index in range(mechanism_clips) if index not in watched]
    if not (rounds or costly or clips):
        return
    loaded = LoadedModel.load(plan)

    def groups() -> Iterator[list[dict[str, Any]]]:
        """Lines that are recorded together: rows of one round, or layers of one clip."""
        yield from timed_rounds(plan, loaded, rounds)
        yield from ([line] for line in costs(plan, loaded, costly))
        yield from (list(clip_mechanism(plan, loaded, index)) for index in clips)

    total = len(rounds) + len(costly) + len(clips)
    with tqdm(total=total, unit="round", desc="time and cost", disable=quiet, mininterval=1) as bar:
        for lines in groups():
            for line in lines:
                record.add(line)
            bar.update()
