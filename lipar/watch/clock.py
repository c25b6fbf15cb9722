"""Time on a device, measured without making the host wait for it."""

import time
from typing import Any, TypeAlias

import torch

Mark: TypeAlias = Any
"""A moment: a `torch.cuda.Event` on a GPU, else seconds of `time.perf_counter`."""


class Clock:
    """Marks moments, and reads them later.

    On a GPU a mark is an event in the device's queue of work: it is set when the device reaches it, and the host does
    not wait for it until it is read. Marks therefore cut the device's own time into pieces that add up to the total;
    work of the host in the meantime is not counted. On a CPU a mark is a time of the host.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._last, self._last_seconds = self.mark(), 0.0

    def mark(self) -> Mark:
        """A mark after all work that the device was given so far."""
        if self._device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self._device))
        return event

    def read(self, mark: Mark) -> float:
        """Seconds from the creation of the clock to a mark; waits until the device has reached it."""
        if self._device.type != "cuda":
            return float(mark - self._last)
        for event in (self._last, mark):
            event.synchronize()
        # from mark to mark, since the milliseconds between two events are a float32
        self._last_seconds += self._last.elapsed_time(mark) / 1000
        self._last = mark
        return self._last_seconds

    def on_host(self) -> "Clock":
        """A clock of the host's time that counts from the same moment; waits until the device has reached that."""
        if self._device.type != "cuda":
            return self
        self._last.synchronize()
        return Clock(torch.device("cpu"))


def is_reached(mark: Mark) -> bool:
    """Whether reading a mark would not wait."""
    return isinstance(mark, float) or bool(mark.query())


class Stopwatch:
    """Seconds since its creation, counted from the end of the work that the device had then."""

    def __init__(self, device: torch.device) -> None:
        self._clock = Clock(device)

    def seconds(self) -> float:
        """Seconds until all work given since then is done; waits for the device."""
        return self._clock.read(self._clock.mark())
