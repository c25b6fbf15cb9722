"""Counts and wall times of the forwards of a session, one entry per expert; the host never waits for the device."""

from typing import Any

import attrs
import torch

from lipar.layout import TokenLayout
from lipar.watch.clock import Clock


@attrs.define
class ForwardCount:
    """What the forwards of one expert computed, and how long they took."""

    forwards: int = 0
    kept_tokens: int = 0
    """Sum of computed tokens over the forwards."""
    all_tokens: int = 0
    """Sum of all tokens over the forwards."""
    timed: int = 0
    """Number of timed forwards: on the CPU and CUDA all that were not interrupted, on other devices none."""
    seconds: float = 0.0
    """Sum over the timed forwards."""
    fastest_full: float | None = None
    """Seconds of the fastest forward that computed every token; None if there was none."""
    fastest_pruned: float | None = None
    """Seconds of the fastest forward that did not."""

    @property
    def mean_seconds(self) -> float | None:
        """Mean of the timed forwards; None if there was none."""
        return self.seconds / self.timed if self.timed else None

    def add_time(self, seconds: float, *, full: bool) -> None:
        """Add the time of a forward.

        Args:
            seconds: its wall time.
            full: whether it computed every token.
        """
        self.timed += 1
        self.seconds += seconds
        if full:
            self.fastest_full = min(seconds, self.fastest_full or seconds)
        else:
            self.fastest_pruned = min(seconds, self.fastest_pruned or seconds)

    def plus(self, other: "ForwardCount") -> "ForwardCount":
        """The sum of two counts; of the fastest times, the smaller."""
        return ForwardCount(
            self.forwards + other.forwards,
            self.kept_tokens + other.kept_tokens,
            self.all_tokens + other.all_tokens,
            self.timed + other.timed,
            self.seconds + other.seconds,
            _smaller(self.fastest_full, other.fastest_full),
            _smaller(self.fastest_pruned, other.fastest_pruned),
        )


def _smaller(one: float | None, other: float | None) -> float | None:
    given = [value for value in (one, other) if value is not None]
    return min(given) if given else None


@attrs.define(eq=False)
class _Timing:
    """The time of one forward, whose end the device may not have reached yet."""

    count: ForwardCount
    full: bool
    clock: Clock
    end: Any = None

    def is_known(self) -> bool:
        """Whether the time can be read without a wait."""
        return not isinstance(self.end, torch.cuda.Event) or self.end.query()

    def settle(self) -> None:
        """Add the time to the count; waits until the device has reached the end."""
        self.count.add_time(self.clock.read(self.end), full=self.full)


class ForwardCounts:
    """The counts of a session by expert: `transformer`, and `transformer_2` where a pipeline has two."""

    def __init__(self) -> None:
        self._experts: dict[str, ForwardCount] = {}
        self._running: _Timing | None = None
        self._pending: list[_Timing] = []
        """Forwards that the device may not have finished."""

    def __getstate__(self) -> dict[str, Any]:
        # events belong to one process, so a copy does not get the times that are not known yet
        return {"_experts": self._experts, "_running": None, "_pending": []}

    def begin(self, expert: str, layout: TokenLayout, device: torch.device) -> None:
        """Count a forward that begins now; one that was interrupted before it is not timed."""
        count = self._experts.setdefault(expert, ForwardCount())
        count.forwards += 1
        count.kept_tokens += layout.kept_count
        count.all_tokens += layout.token_count
        full = layout.kept_count == layout.token_count
        # other kinds of device run behind the host as well, and have no events here
        self._running = _Timing(count, full, Clock(device)) if device.type in ("cpu", "cuda") else None

    def end(self) -> None:
        """End the time of the forward that began last."""
        if self._running is not None:
            self._running.end = self._running.clock.mark()
            self._pending.append(self._running)
            self._running = None
            self._collect(wait=False)

    def by_expert(self) -> dict[str, ForwardCount]:
        """A copy of the counts by expert; waits for forwards that the device has not finished."""
        self._collect(wait=True)
        return {expert: attrs.evolve(count) for expert, count in self._experts.items()}

    def total(self) -> ForwardCount:
        """The counts of all experts together; as `by_expert`."""
        total = ForwardCount()
        for count in self.by_expert().values():
            total = total.plus(count)
        return total

    @property
    def forwards(self) -> int:
        """Number of forwards of all experts; without a wait."""
        return sum(count.forwards for count in self._experts.values())

    def _collect(self, *, wait: bool) -> None:
        pending, self._pending = self._pending, []
        for timing in pending:
            if wait or timing.is_known():
                timing.settle()
            else:
                self._pending.append(timing)
