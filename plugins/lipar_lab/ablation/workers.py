"""Cells in parallel processes, each with its own model, since one small model does not fill a GPU."""

import queue
import traceback
import warnings
from collections.abc import Collection, Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
import torch.multiprocessing as multiprocessing

from lipar_lab.ablation.cells import clip_cells
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan

Task = tuple[int, float, int, tuple[Cell, ...]]
"""A clip, a strength, a seed, and the cells wanted there."""


class WorkerError(RuntimeError):
    """A worker process failed; the message contains its traceback."""


def tasks_of(plan: Plan, done: Collection[Cell]) -> list[Task]:
    """The cells that are not done, in one task per clip, strength and seed, since these share a dense run."""
    left = [cell for cell in plan.cells() if cell not in done]
    return [
        (*shared, tuple(cells))
        for shared, cells in groupby(left, key=lambda cell: (cell.clip, cell.strength, cell.seed))
    ]


def run_here(plan: Plan, tasks: list[Task], folder: Path = Path()) -> Iterator[dict[str, Any]]:
    """Run tasks one after another in this process, and yield the lines of their cells; as `run_in_workers`."""
    if not tasks:
        return
    loaded = LoadedModel.load(plan)
    for task in tasks:
        yield from clip_cells(plan, loaded, *task, folder=folder)


def run_in_workers(
    plan: Plan, tasks: list[Task], workers: int, folder: Path = Path()
) -> Iterator[dict[str, Any]]:
    """Run tasks in several processes, and yield the lines of their cells in the order in which they finish.

    Args:
        plan: what the ablation runs; sent to every process.
        tasks: what to run.
        workers: number of processes.
        folder: of the ablation.

    Raises:
        WorkerError: a process raised or died; the others are terminated.
    """
    context = multiprocessing.get_context("spawn")
    waiting: Any = context.Queue()
    results: Any = context.Queue()
    for task in [*tasks, *[None] * workers]:
        waiting.put(task)
    processes = [
        context.Process(target=_work, args=(plan, folder, waiting, results), daemon=True)
        for _ in range(workers)
    ]
    for process in processes:
        process.start()
    ended = 0
    try:
        while ended < workers:
            try:
                what, value = results.get(timeout=2)
            except queue.Empty:
                _check_alive(processes)
                continue
            if what == "cell":
                yield value
            elif what == "failed":
                raise WorkerError(f"a worker of the ablation failed:\n{value}")
            else:
                ended += 1
    finally:
        for process in processes:
            process.terminate()
            process.join()


def _check_alive(processes: list[Any]) -> None:
    for process in processes:
        if process.exitcode not in (None, 0):
            raise WorkerError(
                f"a worker of the ablation died with exit code {process.exitcode}, perhaps for want of memory; "
                "run again with fewer --workers: finished cells are kept"
            )


def _work(plan: Plan, folder: Path, waiting: Any, results: Any) -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")  # the main process has shown them; here each would come once per process
    try:
        loaded = LoadedModel.load(plan)
        while (task := waiting.get()) is not None:
            for line in clip_cells(plan, loaded, *task, folder=folder):
                results.put(("cell", line))
                if not parent.is_alive():
                    return  # the main process was killed, so results are no longer written
        results.put(("ended", None))
    except Exception:
        results.put(("failed", traceback.format_exc()))
