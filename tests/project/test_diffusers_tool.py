"""The tool that runs diffusers' own tests with lipar on: what counts as a difference, and that it skips."""

import os
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "diffusers_tests.py"
differences: Any = runpy.run_path(str(TOOL))["differences"]
REFUSAL = "RuntimeError: lipar prunes inference: a pruned forward has no backward, and so on"


def ended(outcome: str = "passed", said: str = "", outputs: tuple[str, ...] = ("1f",)) -> dict[str, Any]:
    return {"outcome": outcome, "said": said, "enabled": 1, "outputs": list(outputs)}


@pytest.mark.parametrize(
    ("mode", "test", "with_lipar", "allowed", "others"),
    [
        ("keep-all", "test_output", ended(), 0, 0),
        ("keep-all", "test_output", ended(outputs=("2e",)), 0, 1),
        ("half", "test_output", ended(outputs=("2e",)), 0, 0),
        ("half", "test_training", ended("failed", REFUSAL), 1, 0),
        ("half", "test_training[bf16]", ended("failed", REFUSAL), 1, 0),
        ("half", "test_training", ended("failed", "RuntimeError: another one"), 0, 1),
        ("half", "test_output", ended("failed", REFUSAL), 0, 1),
        ("half", "test_inference", ended("failed", "AssertionError: \\nTensors not close!"), 1, 0),
        ("keep-all", "test_inference", ended("failed", "AssertionError: \\nTensors not close!"), 0, 1),
        ("half", "test_inference", ended("failed", "ValueError: sizes"), 0, 1),
        ("half", "test_output", ended("skipped"), 0, 1),
    ],
)
def test_only_a_listed_refusal_or_value_is_allowed_to_differ(
    mode: str, test: str, with_lipar: dict[str, Any], allowed: int, others: int
) -> None:
    name = f"tests/x.py::TestWan::{test}"
    found = differences({name: ended()}, {name: with_lipar}, mode)
    assert [len(lines) for lines in found] == [allowed, others]


def test_a_test_that_fails_by_itself_is_no_difference() -> None:
    failed = {"x::test_inference": ended("failed", "AssertionError", outputs=())}
    assert differences(failed, failed, "keep-all") == ([], [])


@pytest.mark.parametrize(
    ("checkout", "code", "said"),
    [("", 0, "skipped: LIPAR_DIFFUSERS_TESTS names no checkout"), (".", 2, "has no tests/pipelines/wan")],
)
def test_without_a_checkout_it_says_why_it_runs_nothing(
    checkout: str, code: int, said: str, tmp_path: Path
) -> None:
    environment = os.environ | {"LIPAR_DIFFUSERS_TESTS": checkout}
    done = subprocess.run(
        [sys.executable, TOOL], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False
    )
    assert (done.returncode, said in done.stdout) == (code, True)
