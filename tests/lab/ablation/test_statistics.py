"""Means and paired differences over clips, with Student's t intervals."""

import math
from typing import Any

import pytest

from lipar_lab.ablation.rows import REFERENCE
from lipar_lab.ablation.statistics import by_clip, paired, t_interval, t_quantile, time_ratios


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
    return {"clip": clip, "strength": 0.4, "kept": kept, "row": row, "figure": value}


def test_differences_are_paired_by_cell_and_averaged_over_clips() -> None:
    cells = [
        *(cell(0, REFERENCE, 30.0), cell(0, "mine", 32.0)),
        *(cell(0, REFERENCE, 20.0, kept=0.3), cell(0, "mine", 26.0, kept=0.3)),
        *(cell(1, REFERENCE, 40.0), cell(1, "mine", 42.0)),
        *(cell(2, REFERENCE, None), cell(2, "mine", 99.0)),  # equal to dense: no difference to be had
        cell(3, "mine", 99.0),
    ]
    difference = paired(cells, "mine", "figure")
    assert difference is not None
    assert (difference.mean, difference.count) == (3.0, 2)  # 4 of clip 0's two cells, 2 of clip 1's
    assert paired(cells, "absent", "figure") is None
    assert by_clip(cells, "figure")[2] == 99.0


def test_time_is_the_median_ratio_within_a_round() -> None:
    def line(row: str, number: int, seconds: float) -> dict[str, Any]:
        return {"row": row, "kept": 0.5, "round": number, "seconds": seconds}

    lines = [line(REFERENCE, i, s) for i, s in enumerate((1.0, 2.0, 10.0))]
    lines += [line("mine", i, s) for i, s in enumerate((1.1, 2.2, 99.0))]
    assert time_ratios(lines)["mine"] == pytest.approx(1.1)


def test_an_interval_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one value"):
        t_interval([])
