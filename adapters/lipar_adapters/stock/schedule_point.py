"""The point of a pipeline's schedule in a forward of its transformer."""

from typing import Any

from lipar.enabling.schedule import SchedulePoint
from lipar_adapters.stock.flow import check_flow

TIMESTEP_ERROR = 1e-2
"""Timesteps (0 to 1000) that differ by at most this are the same one, rounded."""


def schedule_point(pipe: Any, timestep: float) -> SchedulePoint | None:
    """The point of a pipeline's schedule in a forward with this timestep; None if the forward is not the pipeline's.

    A forward of its own has the timestep that the pipeline is at and from which its scheduler will step next. In a
    callback the scheduler has already stepped, so forwards there are not its own, whatever their timestep.

    Args:
        pipe: the pipeline.
        timestep: as the transformer gets it, 0 to 1000.

    Raises:
        TypeError: the scheduler was exchanged for one that does not follow flow matching.
    """
    present = getattr(pipe, "current_timestep", None)
    if present is None or not _same(present, timestep):
        return None
    scheduler = pipe.scheduler
    check_flow(scheduler)
    index = scheduler.step_index
    if index is None:
        # before the first step; video-to-video begins in the middle of the schedule without telling the scheduler
        found = ((scheduler.timesteps - timestep).abs() <= TIMESTEP_ERROR).nonzero().flatten()
        index = int(found[0]) if len(found) else len(scheduler.timesteps)
    if index >= len(scheduler.timesteps) or not _same(scheduler.timesteps[index], timestep):
        return None
    return SchedulePoint(int(index), float(scheduler.sigmas[index]))


def _same(one: Any, other: float) -> bool:
    return abs(float(one) - other) <= TIMESTEP_ERROR
