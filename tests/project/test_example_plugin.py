"""The plugin in the documents is installed and found as any third-party plugin is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "lipar-peak"


@pytest.fixture(scope="module")
def with_example(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment in which the example plugin is installed in addition to lipar."""
    target = tmp_path_factory.mktemp("site")
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", str(target), str(EXAMPLE)], check=True
    )
    return {**os.environ, "PYTHONPATH": str(target)}


def run(code: str, environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_example_is_registered_with_its_owner_and_options(with_example: dict[str, str]) -> None:
    code = (
        "from lipar import load_plugins\n"
        "found = load_plugins().registries\n"
        "for part in (found['criterion']['peak'], found['recovery']['budget']):\n"
        "    print(part.owner, [option.name for option in part.options])"
    )
    assert run(code, with_example) == "lipar-peak 0.2.0 ['gain']\nlipar-peak 0.2.0 ['share']"


def test_the_tests_of_the_example_pass_on_what_was_installed(
    with_example: dict[str, str], tmp_path: Path
) -> None:
    pytest_run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE)]
    done = subprocess.run(
        pytest_run, env=with_example, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_example_can_be_disabled(with_example: dict[str, str]) -> None:
    code = (
        "import os\n"
        "from lipar import load_plugins\n"
        "for disabled in ('', 'lipar-peak', 'budget'):\n"
        "    os.environ['LIPAR_DISABLED_PLUGINS'] = disabled\n"
        "    found = load_plugins().registries\n"
        "    print('peak' in found['criterion'], 'budget' in found['recovery'])"
    )
    assert run(code, with_example).splitlines() == ["True True", "False False", "True False"]
