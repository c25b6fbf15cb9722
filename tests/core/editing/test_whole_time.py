"""The time of a whole edit, and of the same edit dense, as far as a pruned run can tell."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.editing.block_numbers import BlockNumbers
from lipar.editing.whole_time import WholeTime

SECONDS = st.floats(0, 100)


def blocks(*times: tuple[float, float, float | None]) -> Sequence[BlockNumbers]:
    """One scene: kept fraction, seconds and dense seconds of each block."""
    return [
        BlockNumbers(
            kept=1,
            tokens=2,
            has_history=index > 0,
            kept_fraction=kept,
            seconds=seconds,
            dense_seconds=dense,
        )
        for index, (kept, seconds, dense) in enumerate(times)
    ]


SCENE = blocks(
    (1, 4.0, None), (0.5, 1.0, None), (0.5, 2.0, 5.0), (0.5, 2.0, 4.0), (0.5, 2.0, 6.0), (0, 0.0, None)
)


def test_a_dense_run_computes_each_block_in_full_and_makes_no_mask() -> None:
    whole = WholeTime(wall=40.0, stages={"mask": 0.5, "dense probe": 15.0})
    assert whole.pruned == 25.0
    # the early block at the ratio of the probed ones, the last, of which nothing was kept, like these
    extra = (1.0 * 2.5 - 1.0) + (5.0 - 2.0) + (4.0 - 2.0) + (6.0 - 2.0) + 5.0
    assert whole.dense(SCENE, first_steady=2) == pytest.approx(40.0 - 15.0 - 0.5 + extra)


def test_a_model_that_waits_for_the_writer_gains_nothing_by_pruning() -> None:
    stages = {"dense probe": 15.0, "wait for the writer": 30.0, "write": 48.0}
    whole = WholeTime(wall=50.0, stages=stages)
    assert whole.pruned == whole.dense(SCENE, first_steady=2) == 48.0


def test_without_a_probed_block_nothing_is_known() -> None:
    assert WholeTime(wall=1.0, stages={}).dense(blocks((1, 1.0, None), (0.5, 1.0, None)), 0) is None
    assert WholeTime(wall=1.0, stages={}).dense(blocks((0.5, 0.0, 1.0)), 0) is None


@given(SECONDS, SECONDS, SECONDS, SECONDS, st.integers(0, 6))
def test_waiting_never_makes_the_gain_larger(
    working: float, waits: float, reading: float, writing: float, first_steady: int
) -> None:
    busy = {"decode": reading, "write": writing}
    without = WholeTime(wall=working, stages={})
    whole = WholeTime(wall=working + waits, stages={"wait for frames": waits} | busy)
    gains = [time.dense(SCENE, first_steady) - time.pruned for time in (without, whole)]
    assert gains[1] <= gains[0] + 1e-9
