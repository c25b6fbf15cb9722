"""The plugin in the documents comes in by the door that a stranger's would."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def with_example(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example plugin is installed beside lipar."""
    target = tmp_path_factory.mktemp("site")
    example = ROOT / "docs" / "examples" / "lipar-peak"
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(example)], check=True
    )
    return {**os.environ, "PYTHONPATH": str(target)}


def run(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_example_is_registered_with_its_owner_and_option(with_example: dict[str, str]) -> None:
    code = (
        "from lipar import load_plugins\n"
        "peak = load_plugins().registries['criterion']['peak']\n"
        "print(peak.owner, [option.name for option in peak.options])"
    )
    assert run(code, with_example) == "lipar-peak 0.1.0 ['gain']"


def test_the_example_can_be_disabled(with_example: dict[str, str]) -> None:
    code = "from lipar import load_plugins\nprint('peak' in load_plugins().registries['criterion'])"
    assert run(code, with_example | {"LIPAR_DISABLED_PLUGINS": "lipar-peak"}) == "False"
