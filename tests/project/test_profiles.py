"""The suite says how many examples it tried, and the nightly profile tries 50 times as many."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PROPERTIES = """
from hypothesis import given, settings, strategies as st

@settings(max_examples=3)
@given(st.integers())
def test_with_its_own_number(number):
    pass

class TestMethods:
    @given(st.integers())
    def test_with_the_profiles_number(self, number):
        pass

def test_that_is_no_property():
    pass
"""


TORCH = """
manual_seed = set_num_threads = lambda number: None
"""
"""Replaces torch, which takes longest to load and which these properties do not need."""


@pytest.mark.parametrize(
    ("profile", "times", "workers"), [("default", 1, 0), ("ci", 1, 2), ("nightly", 50, 0), ("nightly", 50, 2)]
)
def test_every_property_is_tried_as_often_as_the_profile_says_and_the_sum_is_told(
    profile, times, workers, tmp_path
):
    suite = tmp_path / "tests"
    suite.mkdir()
    for name in ("conftest.py", "profiles.py", "signature_checks.py"):
        shutil.copy(Path(__file__).parents[1] / name, suite)
    (suite / "test_properties.py").write_text(PROPERTIES)
    (suite / "torch.py").write_text(TORCH)
    plugins = ["-p", "_hypothesis_pytestplugin", "-p", "xdist.plugin", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *plugins, "-n", str(workers), "-o", "addopts=", str(suite)],
        env={**os.environ, "HYPOTHESIS_PROFILE": profile, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    summary = re.search(
        r"^property tests tried (\d+) examples \(Hypothesis profile '(\w+)'\)$", done.stdout, re.MULTILINE
    )
    assert summary is not None, done.stdout
    assert summary.groups() == (str(times * (3 + 100)), profile)
