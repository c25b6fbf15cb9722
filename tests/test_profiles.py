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


@pytest.mark.parametrize(("profile", "times"), [("default", 1), ("ci", 1), ("nightly", 50)])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_property_is_tried_as_often_as_the_profile_says_and_the_sum_is_told(
    profile, times, workers, tmp_path
):
    suite = tmp_path / "tests"
    suite.mkdir()
    shutil.copy(Path(__file__).parent / "conftest.py", suite)
    (suite / "test_properties.py").write_text(PROPERTIES)
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-n",
            str(workers),
            "-p",
            "no:cacheprovider",
            "-o",
            "addopts=",
            str(suite),
        ],
        env={**os.environ, "HYPOTHESIS_PROFILE": profile},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    told = re.search(
        r"^property tests tried (\d+) examples \(Hypothesis profile '(\w+)'\)$", done.stdout, re.MULTILINE
    )
    assert told is not None, done.stdout
    assert told.groups() == (str(times * (3 + 100)), profile)
