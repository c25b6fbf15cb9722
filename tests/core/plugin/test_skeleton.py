"""`lipar new-plugin` writes a distribution that installs, is found, and whose own tests pass."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

from lipar.cli import cli
from lipar.plugin.skeleton import skeleton


@pytest.mark.parametrize("options", [[], ["--adapter"]], ids=["parts", "adapter"])
def test_what_is_written_installs_and_its_own_tests_pass(tmp_path: Path, options: list[str]) -> None:
    written = CliRunner().invoke(cli, ["new-plugin", "soft-edge", *options, "--in", str(tmp_path)])
    assert written.exit_code == 0, written.output
    folder, site = tmp_path / "lipar-soft-edge", tmp_path / "site"
    offline = ["--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *offline, "--target", str(site), str(folder)], check=True
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        env={**os.environ, "PYTHONPATH": str(site)},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_folder_that_is_there_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "lipar-mine").mkdir()
    done = CliRunner().invoke(cli, ["new-plugin", "lipar-mine", "--in", str(tmp_path)])
    assert isinstance(done.exception, FileExistsError)
    assert "already exists" in str(done.exception)
    assert list((tmp_path / "lipar-mine").iterdir()) == []


def test_a_name_that_a_part_has_already_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["new-plugin", "cosine", "--in", str(tmp_path)])
    assert isinstance(done.exception, ValueError)
    assert "lipar 0.1.0 already offers a criterion 'cosine'" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_a_family_that_is_known_already_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["new-plugin", "--adapter", "ltx", "--in", str(tmp_path)])
    assert isinstance(done.exception, ValueError)
    assert "already offers a target 'ltx'" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["features", "target", "seam", "class", "two-words"])
def test_any_name_makes_a_family_whose_modules_are_python(name: str) -> None:
    files = skeleton(name, adapter=True)
    assert not [text for text in files.values() if re.search(r"@\w+@", text)]
    for path, text in files.items():
        if path.endswith(".py"):
            compile(text, path, "exec")


@pytest.mark.parametrize("name", ["features", "none", "m-degree", "recovery-plan", "class"])
def test_any_name_makes_a_module_that_can_be_imported(name: str) -> None:
    module = next(text for path, text in skeleton(name).items() if path.startswith("lipar_"))
    found: dict[str, Any] = {}
    exec(compile(module, name, "exec"), found)
    criterion = next(
        part for made, part in found.items() if made.endswith("Criterion") and made != "Criterion"
    )
    before = torch.zeros(1, 1, 2, 4)
    assert criterion()(before + 3.0, before).tolist() == [[[3.0, 3.0]]]


@pytest.mark.parametrize(
    "name", ["", "Mine", "../mine", "my plugin", "9lives", "lipar-", "my--plugin", "a_b"]
)
def test_a_name_that_makes_no_package_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(ValueError, match="for instance my-criterion"):
        skeleton(name)
