"""Time and progress of a stock pipeline's denoising loop."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch


class DenoiseWatch:
    """Stands in for a pipeline's progress bar, which is open exactly as long as its loop runs.

    Args:
        device: where the loop runs; it is waited for before the clock is read.
        on_step: called with the number of steps done.
    """

    def __init__(self, device: torch.device, on_step: Callable[[int], None]) -> None:
        self.seconds = 0.0
        self._device, self._on_step = device, on_step
        self._done, self._begun = 0, 0.0

    def __call__(self, iterable: Any = None, total: int | None = None) -> "DenoiseWatch":
        return self

    def __enter__(self) -> "DenoiseWatch":
        self._done, self._begun = 0, self._now()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = self._now() - self._begun

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
    """Time the loop of a pipeline's next call instead of showing its bar; afterwards the bar is its own again."""
    watch = DenoiseWatch(pipe._execution_device, on_step)
    pipe.progress_bar = watch
    try:
        yield watch
    finally:
        del pipe.progress_bar
