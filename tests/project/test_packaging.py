"""What was installed is what the checkout says."""

import importlib
import importlib.metadata
import json
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PACKAGES = ["lipar", "lipar_plugins", "lipar_lab", "lipar_adapters"]
AGAIN = "the installed lipar is not this checkout's; run `pip install -e .` again"
WEIGHTS_LIMIT = 16_000_000


@pytest.fixture
def distribution() -> importlib.metadata.Distribution:
    return importlib.metadata.distribution("lipar")


def is_editable(distribution: importlib.metadata.Distribution) -> bool:
    origin = json.loads(distribution.read_text("direct_url.json") or "{}")
    return bool(origin.get("dir_info", {}).get("editable"))


@pytest.mark.parametrize(
    ("group", "declared"),
    [*PROJECT["entry-points"].items(), ("console_scripts", PROJECT["scripts"])],
)
def test_installed_entry_points_are_those_of_pyproject(
    distribution: importlib.metadata.Distribution, group: str, declared: dict[str, str]
) -> None:
    installed = {found.name: found.value for found in distribution.entry_points if found.group == group}
    assert installed == declared, AGAIN


def test_installed_version_is_that_of_pyproject(distribution: importlib.metadata.Distribution) -> None:
    assert distribution.version == PROJECT["version"], AGAIN
    assert importlib.import_module("lipar").__version__ == PROJECT["version"]


@pytest.mark.parametrize("package", PACKAGES)
def test_package_comes_from_where_the_distribution_lies(
    distribution: importlib.metadata.Distribution, package: str
) -> None:
    # In a wheel environment the checkout must not come before the installed packages.
    home = Path(str(distribution.locate_file("")))
    found = Path(str(importlib.import_module(package).__file__))
    assert found.is_relative_to(ROOT if is_editable(distribution) else home)


@pytest.mark.parametrize(
    "target",
    [*PROJECT["entry-points"]["lipar"].values(), *PROJECT["entry-points"]["lipar.commands"].values()],
)
def test_every_entry_point_offers_parts_or_commands(target: str) -> None:
    offers = [name for name in vars(importlib.import_module(target)) if name.startswith("lipar_register_")]
    assert offers, f"{target} implements no lipar_register_* hook"


@pytest.mark.parametrize("package", PACKAGES)
def test_types_are_shipped(package: str) -> None:
    assert (Path(str(importlib.import_module(package).__file__)).parent / "py.typed").is_file()


def test_the_bundled_weights_are_installed_and_small() -> None:
    adapters = Path(str(importlib.import_module("lipar_adapters").__file__)).parent
    weights = list((adapters / "tiny" / "weights").rglob("*.safetensors"))
    assert weights, "the bundled model has no weights"
    assert sum(path.stat().st_size for path in weights) <= WEIGHTS_LIMIT
