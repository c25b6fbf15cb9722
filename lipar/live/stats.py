"""Figures of a session while it runs."""

import time
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

SPAN = 3.0
"""Seconds over which rates are taken."""


@attrs.frozen(kw_only=True)
class LiveStats:
    """Figures of a session since it began, if nothing else is said."""

    frames_in: int
    """Frames that were pushed."""
    frames_out: int
    """Frames that were edited."""
    fps_in: float
    """Frames pushed a second, over the last three seconds."""
    fps_out: float
    """Frames edited a second, likewise."""
    skipped: int
    """Frames that were pushed and not edited, since the model is slower, or a reset or a new prompt dropped them."""
    dropped_blocks: int
    """Finished blocks that nobody took before the next was finished."""
    kept_fraction: float | None
    """Of the last block's tokens; None: no block is finished."""
    stages: dict[str, float]
    """Seconds per stage of the last block."""
    latency: float | None
    """Of the last block, from the arrival of its newest frame until it was finished, in seconds."""
    memory_bytes: int | None
    """Of this process; None where the system does not say."""
    device_bytes: int | None
    """That PyTorch has in use on the GPU; None: the model is on the CPU."""
    block: int
    """Finished blocks."""
    run: int
    """How often caches were forgotten."""
    paused: bool

    def as_dict(self) -> dict[str, Any]:
        """All figures, as JSON has them."""
        return attrs.asdict(self)


class Rate:
    """Events a second, over the last `SPAN` seconds.

    Args:
        clock: gives seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: deque[tuple[float, int]] = deque()
        self._begin = clock()
        self.total = 0

    def add(self, count: int = 1) -> None:
        """Count events now."""
        self.total += count
        self._events.append((self._clock(), count))
        self._forget()

    def per_second(self) -> float:
        """Events a second; at the begin over the time since then."""
        self._forget()
        seconds = min(SPAN, self._clock() - self._begin)
        return sum(count for _, count in self._events) / seconds if seconds > 0 else 0.0

    def _forget(self) -> None:
        while self._events and self._events[0][0] <= self._clock() - SPAN:
            self._events.popleft()
