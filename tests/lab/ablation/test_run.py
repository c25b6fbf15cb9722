"""An ablation from plan to tables, on the shipped weights."""

import json
import os
import re
import signal
import subprocess
import sys
import time
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


def test_all_files_are_there_and_the_page_is_one_file(quick: tuple[Path, str]) -> None:
    out, _ = quick
    assert {path.name for path in out.iterdir()} == {
        *("cells.jsonl", "cells.csv", "cells.parquet", "results.json", "tables.md", "report.html")
    }
    html = (out / "report.html").read_text()
    assert "<h1>Ablation of recovery</h1>" in html and "data:image/svg+xml" in html
    assert "step-shift-in-block" in html and "Made with" in html
    assert not re.search(r"(src|href)=.?https?:", html)
    results = json.loads((out / "results.json").read_text())
    dense, paper = (
        next(line for line in results["costs"] if line["row"] == name) for name in ("dense", "paper")
    )
    assert paper["flops"] < 0.7 * dense["flops"]
    assert all(line["clean"] > 0 and line["denoise"] > 0 for line in results["times"])


KILLED = """
from pathlib import Path
import sys
import attrs
from lab_toys import toy_loaded, toy_plan
from lipar_lab.ablation.plan import LoadedModel
from lipar_lab.ablation.run import run_ablation

LoadedModel.load = classmethod(lambda cls, plan: toy_loaded())
plan = toy_plan("none", timing=attrs.evolve(toy_plan().timing, rounds=1))
plan = attrs.evolve(plan, clips=attrs.evolve(plan.clips, count=int(sys.argv[2])))
outcome = run_ablation(plan, Path(sys.argv[1]), quiet=True)
print(outcome.cells, outcome.resumed)
"""


def test_a_process_that_is_killed_loses_no_finished_cell_and_the_next_one_goes_on(tmp_path: Path) -> None:
    record = tmp_path / "cells.jsonl"
    command = [sys.executable, "-c", KILLED, str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([*command, "1000"], env=environment) as process:
        while not record.exists() or record.read_bytes().count(b"\n") < 5:
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    finished = record.read_text().splitlines()
    if not record.read_bytes().endswith(b"\n"):
        finished.pop()
    assert not (tmp_path / "tables.md").exists()
    cells = [json.loads(line) for line in finished[1:]]
    clips = 1 + max(cell["clip"] for cell in cells) + 1
    done = subprocess.run([*command, str(clips)], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(3 * clips), str(len(cells))]
    lines = record.read_text().splitlines()
    assert lines[: len(finished)] == finished
    assert sum('"what": "cell"' in line for line in lines) == 3 * clips
    assert len(json.loads((tmp_path / "results.json").read_text())["cells"]) == 3 * clips


def test_a_second_ablation_in_one_folder_is_refused_while_the_first_runs(tmp_path: Path) -> None:
    with Outputs() as outputs:
        outputs.claim(tmp_path / "tables.md")
        with pytest.raises(VideoError, match="another run is writing there at this moment"):
            run_ablation(toy_plan("none"), tmp_path, quiet=True)
    assert list(tmp_path.iterdir()) == []
