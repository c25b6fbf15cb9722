"""Where in its denoising schedule a model is called: the point of a forward, and the position of a run."""

import enum
from collections.abc import Callable
from typing import TypeAlias

import attrs


@attrs.frozen
class SchedulePoint:
    """One step of a denoising schedule."""

    step: int
    """Index of the step; 0 is the first of the schedule."""
    sigma: float
    """Noise level; 1 is pure noise, 0 is clean."""
    rounded: bool = False
    """Whether `sigma` is t / 1000, from a timestep t that may have been rounded; else it is the scheduler's own."""


Clock: TypeAlias = Callable[[float], SchedulePoint | None]
"""Gives the point of a forward with this timestep (0 to 1000); None if the forward belongs to something else."""


class Advance(enum.Enum):
    """What a forward is, compared with the one before it."""

    FOREIGN = enum.auto()
    """It belongs to something else."""
    NEW_RUN = enum.auto()
    NEW_STEP = enum.auto()
    SAME_STEP = enum.auto()
    """Such as the second guidance branch of a step."""


@attrs.define(eq=False)
class SchedulePosition:
    """The position of a run in its schedule, followed from forward to forward.

    Args:
        clock: gives the point of each forward. None: only timesteps are known. A step then ends when the timestep
            changes, a run ends when it rises, and sigma is t / 1000.
    """

    clock: Clock | None = None
    point: SchedulePoint | None = attrs.field(default=None, init=False)
    """The point of the current forward; None before the first forward of a run."""
    grid: tuple[int, int, int] | None = attrs.field(default=None, init=False)
    """Frames, rows and columns of the run's tokens; None before the first forward."""
    _first_step: int = attrs.field(default=0, init=False)
    _last_timestep: float = attrs.field(default=0.0, init=False)

    @property
    def steps_done(self) -> int:
        """Steps that the run has finished; a run that begins late in its schedule counts from there."""
        assert self.point is not None
        return self.point.step - self._first_step

    def restart(self) -> None:
        """Begin a run with the next forward."""
        self.point = None

    def advance(self, timestep: float, grid: tuple[int, int, int]) -> Advance:
        """Move to the next forward.

        Args:
            timestep: the largest of the forward's timesteps, 0 to 1000.
            grid: frames, rows and columns of its tokens; another size begins a run.
        """
        point = self._by_timestep(timestep) if self.clock is None else self.clock(timestep)
        if point is None:
            return Advance.FOREIGN
        before, self.point = self.point, point
        if before is None or grid != self.grid:
            self.grid, self._first_step = grid, point.step
            return Advance.NEW_RUN
        return Advance.NEW_STEP if before.step != point.step else Advance.SAME_STEP

    def _by_timestep(self, timestep: float) -> SchedulePoint:
        if timestep > self._last_timestep:
            self.restart()
        step = 0 if self.point is None else self.point.step + (timestep < self._last_timestep)
        self._last_timestep = timestep
        return SchedulePoint(step, timestep / 1000, rounded=True)
