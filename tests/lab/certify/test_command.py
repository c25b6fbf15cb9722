"""`lipar certify` on a toy model."""

import sys
from pathlib import Path

import pytest
from command_runs import offer_toy

from lipar.cli import main
from lipar.video import write_synthetic_clip


@pytest.fixture
def certify(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run `lipar certify` on a short clip; gives the exit code, the output and the error."""
    offer_toy(monkeypatch)
    clip = write_synthetic_clip(tmp_path / "a.mp4", frames=40, width=64, height=48)

    def call(*arguments: str) -> tuple[int, str, str]:
        command = ["lipar", "certify", str(clip), "--prompt", "night", "--set", "adapter=toy", *arguments]
        monkeypatch.setattr(sys, "argv", command)
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def test_every_step_and_layer_has_a_row_whose_bound_is_kept(certify) -> None:
    code, out, _ = certify("--blocks", "3")
    rows = [line.split(" | ") for line in out.splitlines() if line.startswith("| ")][2:]
    assert code == 0
    assert [(row[0].strip("| "), row[1]) for row in rows] == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    assert all(row[9] == "yes" for row in rows)


@pytest.mark.parametrize("arguments", [("--set", "recovery=none"), ("--blocks", "1")])
def test_a_run_in_which_nothing_can_be_certified_says_so(certify, arguments: tuple[str, ...]) -> None:
    code, _, err = certify(*arguments)
    assert code == 1 and "no block could be certified" in err
