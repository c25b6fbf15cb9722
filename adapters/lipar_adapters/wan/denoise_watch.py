"""Time and progress of a stock pipeline's denoising loop."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from lipar_adapters.stock.stand_in import replaced


class DenoiseWatch:
    """Replaces a pipeline's progress bar, which is open exactly as long as its loop runs.

    Args:
        device: where the loop runs; it is synchronised before the clock is read.
        on_step: called with the number of steps done.
        bar: the progress bar that is replaced. It is opened as well, because `lipar.enable` depends on it.
    """

    def __init__(self, device: torch.device, on_step: Callable[[int], None], bar: Callable[..., Any]) -> None:
        self.seconds = 0.0
        self._device, self._on_step, self._bar = device, on_step, bar
        self._open: Any = None
        self._done, self._begun = 0, 0.0

    def __call__(self, iterable: Any = None, total: int | None = None) -> "DenoiseWatch":
        """What the pipeline calls as `self.progress_bar(total=...)`."""
        self._open = self._bar(iterable, total)
        return self

    def __enter__(self) -> "DenoiseWatch":
        self._open.__enter__()
        self._done, self._begun = 0, self._now()
        return self

    def __exit__(self, *error: Any) -> None:
        self.seconds = self._now() - self._begun
        self._open.__exit__(*error)

    def update(self, steps: int = 1) -> None:
        """What the pipeline calls at the end of a step."""
        self._done += steps
        self._on_step(self._done)

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
        return time.perf_counter()


@contextmanager
def watch_denoising(pipe: Any, on_step: Callable[[int], None]) -> Iterator[DenoiseWatch]:
    """Time the loops of a pipeline's calls and hide its progress bar; afterwards the bar is restored."""
    watch = DenoiseWatch(pipe._execution_device, on_step, pipe.progress_bar)
    hidden = {**(vars(pipe).get("_progress_bar_config") or {}), "disable": True}
    with replaced(pipe, "_progress_bar_config", hidden), replaced(pipe, "progress_bar", watch):
        yield watch
