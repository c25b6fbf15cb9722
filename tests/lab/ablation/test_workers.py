"""Cells in worker processes."""

import pytest
from lab_toys import toy_plan

from lipar_lab.ablation.workers import WorkerError, _check_alive, run_here, run_in_workers, tasks_of


def test_a_worker_that_fails_says_why() -> None:
    plan = toy_plan("none", settings=("adapter.weights='/nowhere'",))
    with pytest.raises(WorkerError, match=r"MissingCheckpointError: adapter\.weights: /nowhere is not whole"):
        list(run_in_workers(plan, tasks_of(plan, []), 2))


def test_tasks_have_the_cells_that_are_left_by_clip_and_strength() -> None:
    plan = toy_plan("none", strengths=(0.2, 0.4))
    done = [cell for cell in plan.cells() if (cell.clip, cell.strength) == (0, 0.2) or cell.row == "dense"]
    tasks = tasks_of(plan, done)
    assert [task[:3] for task in tasks] == [(0, 0.4, 0), (1, 0.2, 0), (1, 0.4, 0)]
    assert all({cell.row for cell in cells} == {"paper", "none"} for *_, cells in tasks)


def test_a_process_that_died_is_an_error_that_names_its_exit_code() -> None:
    class Died:
        exitcode = -9

    class Runs:
        exitcode = None

    _check_alive([Runs()])
    with pytest.raises(WorkerError, match="exit code -9, perhaps for want of memory"):
        _check_alive([Runs(), Died()])


def test_without_tasks_no_model_is_loaded() -> None:
    assert list(run_here(toy_plan("none", settings=("adapter.weights='/nowhere'",)), [])) == []
