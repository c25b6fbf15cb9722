"""The options of `lipar ablate`."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from lipar.cli import cli
from lipar_lab.ablation.suite_file import suite_names


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--rows", "papr"], "no row named 'papr'; there are: dense"),
        (["--kept", "0.5,1.5"], "numbers above 0 and up to 1"),
        (["--kept", "half"], "is no list of numbers"),
        (["--prompt", "night"], "--prompt is for FILES"),
        (["--variant", "noise=nothing"], "no noise named 'nothing'"),
        (["--frames", "20", "--quick"], "in blocks of 3"),
        (["--frames", "47", "--quick"], "set --frames 36"),
        (["--quick", "--photos", __file__], "test_command.py is no pack of photographs"),
        (["--model", "nope"], "no adapter named 'nope'"),
        (["--set", "criterion=mask"], "cannot do without its option 'path'"),
        (["--set", "prune.keep=0.5"], "leave out prune.keep and prune.quantile"),
        (["--suite", "nothing"], "no suite named 'nothing'; there are: "),
        (["--suite", "gone.toml"], "cannot read the config gone.toml"),
        (["--metrics", "psnr,nice"], "no metric named 'nice'; there are psnr, "),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], complaint: str, tmp_path: Path) -> None:
    command = ["ablate", "--out", str(tmp_path), "--device", "cpu", "--quiet", *arguments]
    result = CliRunner().invoke(cli, command)
    assert complaint in result.output + str(result.exception)


def test_suites_are_listed_with_their_rows() -> None:
    result = CliRunner().invoke(cli, ["ablate", "--list-suites"])
    assert result.exit_code == 0
    assert "recovery: Ablation of recovery" in result.output
    assert "21 rows: dense, other-seed, none, paper" in result.output
    assert all(name in result.output for name in suite_names())
