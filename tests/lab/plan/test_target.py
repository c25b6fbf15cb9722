"""The search for the largest `prune.keep`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.config import build_config
from lipar_lab.plan.target import find_keep, replaced, with_keep


def frames_per_second(keep: float) -> float:
    return 10 / (0.5 + keep)


@given(target=st.floats(6.75, 19.5))
def test_the_value_found_reaches_the_target_and_the_next_does_not(target) -> None:
    found = find_keep(frames_per_second, frames_per_second(1.0), target)
    assert found.reached and found.keep is not None
    assert found.frames_per_second == frames_per_second(found.keep) >= target
    above = round(found.keep + 0.01, 2)
    assert above == 1 or frames_per_second(above) < target


def test_few_values_are_tried() -> None:
    tried = []

    def evaluate(keep):
        tried.append(keep)
        return frames_per_second(keep)

    find_keep(evaluate, 6.0, 12.0)
    assert len(tried) == len(set(tried)) <= 8


def test_nothing_is_pruned_where_dense_is_fast_enough() -> None:
    found = find_keep(lambda keep: pytest.fail("no mask is needed"), 30.0, 24.0)
    assert found.reached and found.keep is None and found.frames_per_second == 30


def test_a_target_out_of_reach_names_the_best() -> None:
    found = find_keep(frames_per_second, 6.6, 100.0)
    assert not found.reached and found.keep is None
    assert found.best_keep == 0.01 and found.frames_per_second == frames_per_second(0.01)


def test_where_pruning_is_slower_the_best_is_dense() -> None:
    found = find_keep(lambda keep: 1.0, 2.0, 3.0)
    assert not found.reached and found.best_keep is None and found.frames_per_second == 2


def test_keep_replaces_the_other_ways_to_set_thresholds() -> None:
    config = build_config(settings=[{"prune": {"tau_short": 0.1, "tau_long": 0.2, "first_frames": 2}}])
    changed = with_keep(config, 0.3)
    assert (changed.prune.keep, changed.prune.tau_short, changed.prune.first_frames) == (0.3, None, 2)
    assert replaced(config) == ["prune.tau_short", "prune.tau_long"]
    assert replaced(changed) == []
