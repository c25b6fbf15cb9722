"""Which step of which run a forward is."""

import pytest

from lipar.enabling.schedule import Advance, SchedulePoint, SchedulePosition

GRID = (3, 2, 3)


def advances(position: SchedulePosition, *timesteps: float, grid: tuple[int, int, int] = GRID) -> list[str]:
    return [position.advance(timestep, grid).name for timestep in timesteps]


def test_without_a_clock_a_lower_timestep_is_a_step_and_a_higher_one_a_run() -> None:
    position = SchedulePosition()
    assert advances(position, 900.0, 900.0, 500.0) == ["NEW_RUN", "SAME_STEP", "NEW_STEP"]
    assert position.point == SchedulePoint(1, 0.5, rounded=True)
    assert advances(position, 700.0) == ["NEW_RUN"]
    assert position.steps_done == 0


def test_another_size_is_another_run() -> None:
    position = SchedulePosition()
    advances(position, 900.0, 500.0)
    assert advances(position, 400.0, grid=(2, 2, 3)) == ["NEW_RUN"]
    assert position.grid == (2, 2, 3)
    assert position.steps_done == 0


def test_a_clock_tells_steps_and_what_belongs_to_something_else() -> None:
    points = {800.0: SchedulePoint(4, 0.7), 600.0: SchedulePoint(5, 0.4)}
    position = SchedulePosition(points.get)
    assert advances(position, 800.0, 123.0, 600.0) == ["NEW_RUN", "FOREIGN", "NEW_STEP"]
    assert position.point == points[600.0]
    assert position.steps_done == 1  # a run that begins late counts from its own first step


def test_after_a_restart_the_next_forward_begins_a_run() -> None:
    position = SchedulePosition({800.0: SchedulePoint(4, 0.7)}.get)
    assert advances(position, 800.0, 800.0) == ["NEW_RUN", "SAME_STEP"]
    position.restart()
    with pytest.raises(AssertionError):
        position.steps_done  # noqa: B018
    assert position.advance(800.0, GRID) is Advance.NEW_RUN
