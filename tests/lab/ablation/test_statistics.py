"""Means and paired differences over clips, with Student's t intervals."""

import math
from typing import Any

import pytest
from lab_toys import toy_plan

from lipar_lab.ablation.statistics import (
    by_clip,
    flop_ratios,
    median_interval,
    paired,
    t_interval,
    t_quantile,
    time_ratios,
)

REFERENCE = "paper"


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.7062), (2, 4.30265), (11, 2.20099), (23, 2.06866)])
def test_quantiles_of_t_are_those_of_the_tables(freedom: int, quantile: float) -> None:
    assert t_quantile(0.95, freedom) == pytest.approx(quantile, rel=1e-5)


def test_an_interval_of_known_numbers() -> None:
    interval = t_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert (interval.mean, interval.count) == (3.0, 5)
    assert interval.half == pytest.approx(2.776445 * math.sqrt(2.5 / 5), rel=1e-5)
    assert interval.excludes_zero
    assert not t_interval([-1.0, 1.0]).excludes_zero
    assert math.isnan(t_interval([1.0]).half)


def cell(clip: int, row: str, value: float | None, *, kept: float = 0.5) -> dict[str, Any]:
    return {"clip": clip, "strength": 0.4, "seed": 0, "kept": kept, "row": row, "figure": value}


def test_differences_are_paired_by_cell_and_averaged_over_clips() -> None:
    cells = [
        *(cell(0, REFERENCE, 30.0), cell(0, "mine", 32.0)),
        *(cell(0, REFERENCE, 20.0, kept=0.3), cell(0, "mine", 26.0, kept=0.3)),
        *(cell(1, REFERENCE, 40.0), cell(1, "mine", 42.0)),
        *(cell(2, REFERENCE, None), cell(2, "mine", 99.0)),  # equal to dense: no difference to be had
        cell(3, "mine", 99.0),
    ]
    difference = paired(cells, "mine", "figure", REFERENCE)
    assert difference is not None
    assert (difference.mean, difference.count) == (3.0, 2)  # 4 of clip 0's two cells, 2 of clip 1's
    assert paired(cells, "absent", "figure", REFERENCE) is None
    assert by_clip(cells, "figure")[2] == 99.0


def test_a_metric_of_the_table_is_read_like_any_other_figure() -> None:
    cells = [
        {**cell(0, row, 30.0), "metrics": {"ssim": ssim}} for row, ssim in ((REFERENCE, 0.5), ("mine", 0.75))
    ]
    difference = paired(cells, "mine", "ssim", REFERENCE)
    assert difference is not None and difference.mean == 0.25


def test_time_is_relative_to_the_dense_run_of_the_same_clip_and_round() -> None:
    def line(row: str, clip: int, number: int, seconds: float) -> dict[str, Any]:
        return {
            "row": row,
            "kept": 0.5,
            "clip": clip,
            "round": number,
            "denoise": seconds,
            "seconds": 2 * seconds,
        }

    plan = toy_plan()
    lines = [line("dense", clip, number, 1.0 + number + clip) for clip in (0, 1) for number in (0, 1)]
    lines += [
        line("paper", clip, number, 0.5 * (1.0 + number + clip)) for clip in (0, 1) for number in (0, 1)
    ]
    lines += [line("of another plan", 0, 0, 9.0), line("paper", 7, 0, 9.0)]
    assert time_ratios(plan, lines)["paper", 0.5] == [0.5] * 4
    assert time_ratios(plan, lines, "denoise")["dense", 0.5] == [1.0] * 4


def test_operations_are_relative_to_the_dense_row_of_each_row() -> None:
    lines = [{"row": row, "kept": 0.5, "flops": flops} for row, flops in (("dense", 200), ("paper", 50))]
    assert flop_ratios(toy_plan("none"), lines) == {("dense", 0.5): 1.0, ("paper", 0.5): 0.25}


@pytest.mark.parametrize(
    ("count", "low", "high"),
    [(1, 1, 1), (5, 1, 5), (6, 1, 6), (8, 1, 8), (9, 2, 8), (12, 3, 10), (20, 6, 15), (25, 8, 18)],
)
def test_the_interval_of_a_median_is_that_of_the_tables_of_order_statistics(
    count: int, low: int, high: int
) -> None:
    spread = median_interval([float(value) for value in reversed(range(1, count + 1))])
    assert (spread.median, spread.low, spread.high, spread.count) == ((count + 1) / 2, low, high, count)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        t_interval([])
