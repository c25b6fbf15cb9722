"""Clips on the workers of Ray: an actor of Ray Data each, which loads its model once. Imports Ray when it runs.

Nothing that Ray keeps is needed to go on. A row whose worker or node is killed is given to a worker again, and that
finds in the record beside the output what was finished (`lipar.batch.worker`); this is also why Ray Data's own
checkpoints, which know rows by a column and not by the content of their files, are not used.
"""

import importlib.util
import logging
import os
import pickle
import queue
import threading
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import attrs
import numpy as np

from lipar.batch.recipe import Help, Outcome, Recipe
from lipar.batch.rows import ClipRow

MISSING = "needs Ray, which is not installed: pip install 'lipar[batch]'"
LOOK = 5.0
"""Seconds without an outcome after which the driver looks for lost nodes."""
ENDING = 30.0
"""Seconds to wait for that thread."""
STORE_BYTES = 2**28
"""Memory of the object store of a Ray that is started here: only names and reports go through it."""
MOST_BLOCKS = 10**4
"""Tasks that Ray Data is given at most; each is one row, or several of a longer manifest."""


@attrs.frozen(kw_only=True)
class Pool:
    """Which workers are wanted, and where."""

    workers: int | None = None
    """None: one for each GPU, or one where there is none."""
    gpus_per_worker: float | None = None
    """None: one where the cluster has any and the device is not the CPU."""
    address: str | None = None
    """Of a cluster; None: Ray is started on this machine, and ended."""


def has_ray() -> bool:
    """Whether Ray Data can be imported; it is not loaded."""
    return all(importlib.util.find_spec(name) is not None for name in ("ray", "pyarrow"))


class RowWorker:
    """What an actor of Ray Data is made of: a worker whose rows and outcomes travel as bytes.

    Args:
        recipe: what all clips share.
    """

    def __init__(self, recipe: Recipe) -> None:
        from lipar.batch.worker import ClipWorker

        with warnings.catch_warnings(record=True) as caught:
            self._worker = ClipWorker(recipe)
        self._before = caught

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """The outcomes of a batch of rows.

        Args:
            batch: rows and requests for help, pickled, in the column `task`; the outcome of the latter is None.
        """
        outcomes = [pickle.dumps(self._done(pickle.loads(task))) for task in batch["task"]]
        return {"outcome": np.array(outcomes, dtype=object)}

    def _done(self, task: ClipRow | Help) -> Outcome | None:
        if isinstance(task, Help):
            self._worker.help(task.rows)
            return None
        return self._outcome(task)

    def _outcome(self, row: ClipRow) -> Outcome:
        with warnings.catch_warnings(record=True) as caught:
            outcome = self._worker.run(row)
        told = tuple(dict.fromkeys(str(one.message) for one in [*self._before, *caught]))
        self._before = []
        return attrs.evolve(outcome, warnings=told)


def run_on_ray(recipe: Recipe, rows: Sequence[ClipRow], pool: Pool) -> Iterator[Outcome]:
    """Edit clips on many workers; gives what became of each as soon as that is known, in any order.

    Args:
        recipe: what all clips share.
        rows: the clips.
        pool: the workers.

    Raises:
        ModuleNotFoundError: Ray is not installed.
        ConnectionError: there is no cluster at the address.
        ValueError: the cluster has no room for a worker.
        Exception: a model cannot be loaded.
    """
    if not has_ray():
        raise ModuleNotFoundError(f"more than one worker {MISSING}")
    waiting = {row.output: row for row in rows}
    with _connected(pool) as ray:
        resources = _Resources.of(ray, recipe, pool)
        while waiting:
            before = len(waiting)
            for outcome in _round(ray, recipe, list(waiting.values()), resources):
                if waiting.pop(outcome.row.output, None) is not None:
                    yield outcome
            if waiting and len(waiting) == before and not resources.room(ray):
                raise ValueError(
                    f"the cluster has no room for a worker of {resources}; {before} clips are left"
                )


@contextmanager
def _connected(pool: Pool) -> Iterator[Any]:
    """Ray, quiet and without statistics; a Ray that was started here is ended."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # else the thread that reads outcomes would start another Ray after this one was ended
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    # else each run begins with an error about actors that are started again; Ray notes this level in a line
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.ERROR}
    if pool.address is None:
        cpus = max(os.cpu_count() or 1, pool.workers or 1)
        options |= {"num_cpus": cpus, "include_dashboard": False, "object_store_memory": STORE_BYTES}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ray.init(address=pool.address or "local", **options)
        import ray.data
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        yield ray
    finally:
        ray.shutdown()


@attrs.frozen(kw_only=True)
class _Resources:
    """What each worker takes."""

    workers: int
    cpus: int
    gpus: float

    @classmethod
    def of(cls, ray: Any, recipe: Recipe, pool: Pool) -> "_Resources":
        total = ray.cluster_resources()
        gpus = pool.gpus_per_worker
        if gpus is None:
            gpus = 1.0 if total.get("GPU", 0) and recipe.device != "cpu" else 0.0
        workers = pool.workers or max(int(total.get("GPU", 0) / gpus) if gpus else 1, 1)
        # Ray gives a worker as many threads as CPUs
        cpus = 1 if pool.address is not None else max((os.cpu_count() or 1) // workers, 1)
        found = cls(workers=workers, cpus=cpus, gpus=gpus)
        if not found.room(ray):
            raise ValueError(f"the cluster has no room for a worker of {found}; it has {_spoken(total)}")
        return found

    def room(self, ray: Any) -> int:
        """For how many workers the nodes that are alive have room, busy or not."""
        rooms = 0
        for node in ray.nodes():
            if node["Alive"]:
                had = node["Resources"]
                by_gpu = int(had.get("GPU", 0) / self.gpus) if self.gpus else self.workers
                rooms += min(int(had.get("CPU", 0) / self.cpus), by_gpu)
        return min(rooms, self.workers)

    def __str__(self) -> str:
        return f"{self.cpus} CPU" + (f" and {self.gpus:g} GPU" if self.gpus else "")


def _spoken(total: Mapping[str, float]) -> str:
    return ", ".join(f"{total.get(name, 0):g} {name}" for name in ("CPU", "GPU"))


def _round(ray: Any, recipe: Recipe, rows: Sequence[ClipRow], resources: _Resources) -> Iterator[Outcome]:
    """The outcomes of rows; ends early where the only rows left wait for workers that the cluster has no room for."""
    # one that gets no clip is of use where clips are split
    workers = max(min(resources.room(ray), resources.workers if recipe.split else len(rows)), 1)
    found: queue.Queue[Outcome | BaseException | None] = queue.Queue()
    data = _dataset(ray, recipe, rows, workers, resources)

    def consume() -> None:
        try:
            for batch in data.iter_batches(batch_size=None, prefetch_batches=0, batch_format="numpy"):
                for outcome in map(pickle.loads, batch["outcome"]):
                    if outcome is not None:
                        found.put(outcome)
            found.put(None)
        except BaseException as error:  # raised in the main thread
            found.put(error)

    left = len(rows)
    thread = threading.Thread(target=consume, name="ray-outcomes", daemon=True)
    thread.start()
    try:
        while True:
            try:
                came = found.get(timeout=LOOK)
            except queue.Empty:
                if left <= workers - resources.room(ray):
                    return
                continue
            if came is None:
                return
            if isinstance(came, BaseException):
                raise _cause(came)
            left -= 1
            yield came
            if not left:  # helpers may be waiting for room
                return
    finally:
        _end(data)
        thread.join(ENDING)


def _end(data: Any) -> None:
    """End the workers of a dataset, and with them the thread that reads its outcomes."""
    # it has no public way to end before its last row; a thread that goes on when Ray is gone ends the process
    executor = getattr(data, "_current_executor", None)
    if executor is not None:
        executor.shutdown(force=True)


def _dataset(ray: Any, recipe: Recipe, rows: Sequence[ClipRow], workers: int, resources: _Resources) -> Any:
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # one row is one task, so that a worker which ends first gets the next row
    tasks = [pickle.dumps(row) for row in rows]
    if recipe.split:
        tasks += [pickle.dumps(Help(tuple(rows)))] * workers  # when there are no more clips
    items = [{"task": task} for task in tasks]
    data = ray.data.from_items(items, override_num_blocks=min(len(items), MOST_BLOCKS))
    # Ray Data starts killed actors again and gives them their task again, both without end; a clip that kills its
    # worker is found by its record
    return data.map_batches(
        RowWorker,
        fn_constructor_args=(recipe,),
        batch_size=1,
        batch_format="numpy",
        compute=ray.data.ActorPoolStrategy(size=workers, max_tasks_in_flight_per_actor=1),
        num_cpus=resources.cpus,
        num_gpus=resources.gpus,
    )


def _cause(error: BaseException) -> BaseException:
    """The error of the worker inside those that Ray puts around it."""
    seen = error
    while (inner := getattr(seen, "cause", None) or seen.__cause__) is not None:
        seen = inner
    return seen
