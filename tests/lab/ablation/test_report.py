"""The tables, from known lines of a record."""

from typing import Any

import attrs
import pytest
from lab_toys import toy_plan

from lipar_lab.ablation.plan import Cell, Plan
from lipar_lab.ablation.report import donor_table, latent_table, pixel_table, report, table

FIGURES = ("psnr_latent", "psnr_latent_kept", "psnr_pixel", "psnr_pixel_kept", "psnr_target")


def line(plan: Plan, cell: Cell, value: float) -> dict[str, Any]:
    """A line of a record whose figures all have this value."""
    return {
        **attrs.asdict(cell),
        **dict.fromkeys((*FIGURES, "high_frequencies", "flicker"), value),
        "kind": "still camera" if cell.clip else "moving camera",
        "kept_real": 0.52,
        "noise_bytes": 2**20 if cell.row == "step-matched" else 0,
    }


@pytest.fixture
def plan() -> Plan:
    return toy_plan("step-matched")


@pytest.fixture
def cells(plan: Plan) -> list[dict[str, Any]]:
    """`paper` has 30 dB in both clips, `step-matched` 32 and 34."""
    gain = {"paper": 0, "step-matched": 2, "dense": 9}
    return [line(plan, cell, 30.0 + gain[cell.row] * (1 + cell.clip)) for cell in plan.cells()]


def test_a_row_of_a_strength_is_its_difference_to_the_paper_s_with_its_interval(plan, cells) -> None:
    text = latent_table(plan, cells, 0.4)
    assert "| strategy | 50 % kept (real 52) |" in text
    assert "| `paper` | 30.0 dB |" in text
    assert "| `step-matched` | +3.00 ±12.71 |" in text  # t of one degree of freedom times 1
    assert "`dense`" not in text


def test_a_difference_whose_interval_excludes_zero_is_bold(plan, cells) -> None:
    for cell in cells:
        cell["psnr_latent_kept"] = 30.0 + (cell["row"] == "step-matched") + 1e-4 * cell["clip"]
    assert "| `step-matched` | **+1.00 ±0.00** |" in latent_table(plan, cells, 0.4)


def test_the_table_of_pixels_has_memory_and_the_ratio_of_times(plan, cells) -> None:
    times = [
        {"row": row, "kept": 0.5, "round": 0, "seconds": seconds}
        for row, seconds in (("paper", 2.0), ("step-matched", 3.0))
    ]
    rows = {text.split("`")[1]: text for text in pixel_table(plan, cells, times).splitlines()[2:]}
    assert rows["step-matched"].endswith("| 1.00 MiB | 1.50x |")
    assert rows["paper"].endswith("| none | 1.00x |")
    assert rows["dense"].endswith("| none |  |")


def test_donors_are_averaged_over_clips_and_layers() -> None:
    keys = ("offset_k", "offset_v", "error_k", "error_v")
    lines = [
        {"row": "paper", **dict.fromkeys(keys, 0.5), "mass": mass, "mass_dense": 0.2} for mass in (0.1, 0.4)
    ]
    assert "| `paper` | 0.500 | 0.500 | 0.500 | 0.500 | 0.250 | 0.200 | 0.150 |" in donor_table(lines)


def test_the_report_has_kinds_of_clips_and_rows_that_could_not_run(plan, cells) -> None:
    text = report(plan, cells, [], [], {"mine": "no noise named 'mine'"})
    assert text.startswith("2 clips, 36 frames each")
    assert "| strategy | moving camera (1 clips) | still camera (1 clips) |" in text
    assert text.endswith("Not run: `mine` (no noise named 'mine').\n")


def test_control_characters_in_a_table_are_escaped() -> None:
    assert table(["a"], [["b\x1b[1m"]]).splitlines() == ["| a |", "| --- |", "| b\\x1b[1m |"]
