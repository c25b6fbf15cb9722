"""Clips one after another in this process."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext

from lipar.batch.recipe import Outcome
from lipar.batch.rows import ClipRow
from lipar.batch.worker import ClipWorker


def run_here(
    worker: ClipWorker,
    rows: Sequence[ClipRow],
    *,
    watching: Callable[[int, ClipRow], AbstractContextManager[None]] = lambda index, row: nullcontext(),
) -> Iterator[Outcome]:
    """Edit clips one after another; gives what became of each as soon as that is known.

    Args:
        worker: edits them.
        rows: the clips.
        watching: what a clip is edited within, by its index.

    Raises:
        Exception: a model cannot be loaded.
    """
    for index, row in enumerate(rows):
        with watching(index, row):
            outcome = worker.run(row)
        yield outcome
