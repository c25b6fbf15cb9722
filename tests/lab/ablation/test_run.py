"""An ablation from plan to tables, on the shipped weights."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from lab_toys import toy_plan

from lipar.cli import cli
from lipar.files.owner import Outputs
from lipar.video import VideoError
from lipar_lab.ablation.run import run_ablation
from lipar_lab.ablation.statistics import paired

QUICK = ["ablate", "--quick", "--device", "cpu", "--quiet"]


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """`lipar ablate --quick` on the bundled model."""
    out = tmp_path_factory.mktemp("ablation") / "out"
    result = CliRunner().invoke(cli, [*QUICK, "--mechanism", "--timing-rounds", "1", "--out", str(out)])
    assert result.exception is None, result.output
    return out, result.output


def gain(out: Path, row: str, other: str, figure: str = "psnr_latent_kept") -> float:
    cells = json.loads((out / "results.json").read_text())["cells"]
    difference = paired(cells, row, figure, other)
    assert difference is not None and difference.count == 2
    return difference.mean


def test_recovery_on_the_shipped_weights_is_worth_what_it_was(quick: tuple[Path, str]) -> None:
    """Bounds are at most a third of the measured values: new weights meet them, a broken part does not."""
    out, _ = quick
    for row in ("step-matched", "step-shift-in-block"):
        assert gain(out, row, "paper") > 1.5
        assert gain(out, row, "other-seed") > 3
        assert gain(out, row, "random", "psnr_pixel") > 2
    assert gain(out, "ceiling", "paper") > 2.5
    for row in ("none", "paper", "step-matched", "step-shift-in-block", "random", "other-seed"):
        assert gain(out, "ceiling-source", row) > 1


def test_the_tables_say_what_was_run(quick: tuple[Path, str]) -> None:
    out, said = quick
    text = (out / "tables.md").read_text()
    assert text in said
    for row in (
        "dense",
        "none",
        "paper",
        "step-matched",
        "step-shift-in-block",
        "random",
        "ceiling",
        "ceiling-source",
        "other-seed",
    ):
        assert f"| `{row}` |" in text
    assert "strength 0.4" in text and "| row | 50 % kept (real 5" in text


def test_an_ablation_goes_on_where_it_was_interrupted_and_workers_give_the_same(
    quick: tuple[Path, str], tmp_path: Path
) -> None:
    out, _ = quick
    lines = (out / "cells.jsonl").read_text().splitlines()
    torn = [line for line in lines if not ('"what": "cell"' in line and '"row": "none"' in line)]
    assert len(torn) == len(lines) - 2
    (tmp_path / "cells.jsonl").write_text("\n".join(torn) + "\n")
    names = "none,step-matched,step-shift-in-block,random,ceiling,ceiling-source,other-seed"
    command = [*QUICK, "--timing-rounds", "0", "--workers", "2", "--rows", names]
    result = CliRunner().invoke(cli, [*command, "--out", str(tmp_path)])
    assert result.exception is None, result.output
    assert "18 cells, 16 of them on record before" in result.output

    def missing(folder: Path) -> dict[str, Any]:
        cells = json.loads((folder / "results.json").read_text())["cells"]
        found: dict[str, Any] = next(c for c in cells if c["clip"] == 1 and c["row"] == "none")
        return found

    before, after = missing(out), missing(tmp_path)
    assert before.keys() == after.keys()
    for key, value in before.items():
        assert after[key] == (pytest.approx(value, rel=1e-3) if isinstance(value, float) else value)


def test_a_model_without_an_autoencoder_has_nothing_to_compare(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        run_ablation(toy_plan("none", settings=("adapter=self-forcing",)), tmp_path, quiet=True)


def test_a_second_ablation_in_one_folder_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with Outputs() as outputs:
        outputs.claim(tmp_path / "tables.md")
        with pytest.raises(VideoError, match="another run is writing there at this moment"):
            run_ablation(toy_plan("none"), tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []
