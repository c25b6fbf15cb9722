"""Plots of an ablation."""

from typing import Any

import attrs
import pytest
from lab_toys import toy_plan

from lipar_lab.ablation.plan import Plan
from lipar_lab.ablation.plots import plots, quality_plot, svg, time_plot


@pytest.fixture
def plan() -> Plan:
    return toy_plan(kept=(0.7, 0.5))


@pytest.fixture
def cells(plan: Plan) -> list[dict[str, Any]]:
    """`paper` has 30 and 32 dB in the two clips, less by 2 dB at 50 %."""
    return [
        {
            **attrs.asdict(cell),
            "psnr_latent_kept": None
            if cell.row == "dense"
            else 30.0 + 2 * cell.clip - 2 * (cell.kept == 0.5),
            "metrics": {},
        }
        for cell in plan.cells()
    ]


def test_a_point_is_the_mean_over_clips_with_its_interval(plan: Plan, cells: list[dict[str, Any]]) -> None:
    plot = quality_plot(plan, cells, "psnr_latent_kept", "PSNR")
    assert plot.series.keys() == {"paper"}
    point = plot.series["paper"][0.7]
    assert point.median == 31 and point.high - 31 == pytest.approx(12.7062, rel=1e-4)
    assert plot.series["paper"][0.5].median == 29


def test_time_is_drawn_as_the_median_ratio(plan: Plan) -> None:
    times = [
        {"row": row, "kept": 0.5, "clip": 0, "round": number, "seconds": seconds}
        for row, found in (("dense", (2.0, 2.0, 2.0)), ("paper", (1.0, 1.2, 9.0)))
        for number, seconds in enumerate(found)
    ]
    assert time_plot(plan, times).series["paper"][0.5].median == pytest.approx(0.6)


def test_a_picture_names_its_rows_and_is_the_same_for_the_same_values(
    plan: Plan, cells: list[dict[str, Any]]
) -> None:
    pytest.importorskip("matplotlib")
    (plot,) = plots(plan, cells, [])
    picture = svg(plot).decode()
    assert picture.startswith("<?xml") and ">paper</text>" in picture and "kept fraction" in picture
    assert svg(plot).decode() == picture
