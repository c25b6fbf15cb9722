"""The tables, from known lines of a record."""

from typing import Any

import attrs
import pytest
from lab_toys import toy_plan

from lipar_lab.ablation.plan import Cell, Plan
from lipar_lab.ablation.report import Results, report
from lipar_lab.ablation.sections import markdown, table
from lipar_lab.ablation.tables import donor_table, fraction_table, latent_table, pixel_table

FIGURES = ("psnr_latent", "psnr_latent_kept", "psnr_pixel", "psnr_pixel_kept", "psnr_target")


def line(plan: Plan, cell: Cell, value: float) -> dict[str, Any]:
    """A line of a record whose figures all have this value."""
    return {
        **attrs.asdict(cell),
        **dict.fromkeys((*FIGURES, "high_frequencies", "flicker"), value),
        "kind": "still camera" if cell.clip else "moving camera",
        "kept_real": 0.52,
        "tokens_kept": 0.5,
        "noise_bytes": 2**20 if cell.row == "step-matched" else 0,
        "metrics": {"ssim": value / 100, "psnr": None if cell.row == "dense" else value},
    }


@pytest.fixture
def plan() -> Plan:
    return toy_plan("step-matched")


@pytest.fixture
def cells(plan: Plan) -> list[dict[str, Any]]:
    """`paper` has 30 dB in both clips, `step-matched` 32 and 34."""
    gain = {"paper": 0, "step-matched": 2, "dense": 9}
    return [line(plan, cell, 30.0 + gain[cell.row] * (1 + cell.clip)) for cell in plan.cells()]


def text_of(made: tuple[Any, Any]) -> str:
    return table(*made)


def time(row: str, seconds: float, number: int = 0) -> dict[str, Any]:
    parts = {"denoise": seconds, "clean": seconds, "seconds": 2 * seconds}
    return {"row": row, "kept": 0.5, "clip": 0, "round": number, **parts}


def test_a_row_of_a_strength_is_its_difference_to_the_reference_with_its_interval(plan, cells) -> None:
    text = text_of(latent_table(plan, cells, 0.4))
    assert "| row | 50 % kept (real 52) |" in text
    assert "| `paper` | 30.0 dB |" in text
    assert "| `step-matched` | +3.00 ±12.71 |" in text  # t of one degree of freedom times 1
    assert "`dense`" not in text


def test_a_difference_whose_interval_excludes_zero_is_bold(plan, cells) -> None:
    for cell in cells:
        cell["psnr_latent_kept"] = 30.0 + (cell["row"] == "step-matched") + 1e-4 * cell["clip"]
    assert "| `step-matched` | **+1.00 ±0.00** |" in text_of(latent_table(plan, cells, 0.4))


def test_the_table_of_pixels_has_memory_and_the_ratio_of_times(plan, cells) -> None:
    times = [time("dense", 2.0), time("step-matched", 3.0)]
    rows = {text.split("`")[1]: text for text in text_of(pixel_table(plan, cells, times)).splitlines()[2:]}
    assert rows["step-matched"].endswith("| 1.00 MiB | 1.50x |")
    assert rows["dense"].endswith("| none | 1.00x |")
    assert rows["paper"].endswith("| none |  |")


def test_the_table_of_a_fraction_has_cost_and_metrics(plan, cells) -> None:
    plan = attrs.evolve(plan, metrics=("psnr", "ssim"))
    times = [time("dense", 2.0), time("dense", 4.0, 1), time("paper", 1.0), time("paper", 3.0, 1)]
    costs = [
        {"row": row, "kept": 0.5, "flops": flops, "peak_bytes": flops * 2**20}
        for row, flops in (("dense", 8), ("paper", 4))
    ]
    head, rows = fraction_table(plan, 0.5, cells, times, costs)
    found = {row[0]: dict(zip(head, row)) for row in rows}
    assert found["`paper`"] == {
        "row": "`paper`",
        "tokens kept": "0.50",
        **dict.fromkeys(("time, denoise passes", "time, clean pass", "time, both"), "0.62 (0.50..0.75)"),
        "FLOPs": "0.50",
        "peak memory": "4.0 MiB",
        "psnr": "30.000",
        "ssim": "0.300",
    }
    assert found["`dense`"]["psnr"] == "equal" and found["`step-matched`"]["FLOPs"] == ""


def test_donors_are_averaged_over_clips_and_layers() -> None:
    keys = ("offset_k", "offset_v", "error_k", "error_v")
    lines = [
        {"row": "paper", **dict.fromkeys(keys, 0.5), "mass": mass, "mass_dense": 0.2} for mass in (0.1, 0.4)
    ]
    assert "| `paper` | 0.500 | 0.500 | 0.500 | 0.500 | 0.250 | 0.200 | 0.150 |" in text_of(
        donor_table(lines)
    )


def test_the_report_has_kinds_of_clips_figures_and_rows_that_could_not_run(plan, cells) -> None:
    plan = attrs.evolve(plan, metrics=("ssim",))
    text = markdown(report(plan, Results(cells=cells, left_out={"mine": "no noise named 'mine'"})))
    assert "2 clips, 36 frames each" in text
    assert "| row | moving camera (1 clips) | still camera (1 clips) |" in text
    assert "50 % pruned, paired differences to `paper`:\n\n| row | ssim |" in text
    assert text.endswith("Not run: `mine` (no noise named 'mine').\n")


def test_control_characters_in_a_table_are_escaped() -> None:
    assert table(["a"], [["b\x1b[1m"]]).splitlines() == ["| a |", "| --- |", "| b\\x1b[1m |"]
