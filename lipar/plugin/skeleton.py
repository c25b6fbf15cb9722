"""What `lipar new-plugin` writes: a distribution to start from, with parts that run and tests that pass."""

import re

from lipar.plugin.family_skeleton import family_skeleton

_PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "{distribution}"
version = "0.1.0"
description = "For lipar: a criterion and a recovery."
readme = "README.md"
requires-python = ">=3.11"
dependencies = ["lipar"]

[project.optional-dependencies]
test = ["lipar[test]"]

[project.entry-points.lipar]
{short} = "{module}"

[tool.hatch.build.targets.wheel]
only-include = ["{module}.py"]

[tool.pytest.ini_options]
testpaths = ["tests"]
"""

_README = """\
# {distribution}

A plugin of lipar: the criterion `{short}` and the recovery `{short}-copies`.

```sh
pip install torch==2.13.0   # first, on a machine without a GPU
pip install -e ".[test]"
lipar strategies            # both are listed
lipar edit in.mp4 --prompt "pencil sketch" -o out.mp4 --set criterion={short} --set recovery={short}-copies
pytest                      # the contracts of both kinds
pytest --lipar-part {short}
```
"""

_MODULE = '''\
"""A criterion and a recovery for lipar."""

import attrs
from attrs.validators import ge, gt

from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.registry import Registry
from lipar.protocols import Criterion, Recovery, RecoveryPlan
from lipar.types import ChangeMap, Features
from lipar_plugins.recoveries import MDegree


@attrs.frozen(kw_only=True)
class {name}Criterion(Criterion):
    """How far tokens are from their reference: root of the mean squared difference, times `gain`."""

    gain: float = attrs.field(default=1.0, validator=gt(0.0))
    l1_ratio = 1.25  # its usual size relative to that of l1, whose thresholds it uses

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """Distance per token, at least 0; 0 where nothing changed."""
        return self.gain * (current - reference).square().mean(dim=-1).sqrt()


@attrs.frozen(kw_only=True)
class {name}Recovery(Recovery):
    """At most `degree` copies of a run of equal tokens, the most recent ones."""

    degree: int = attrs.field(default=2, validator=ge(1))

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """Which places kept queries attend to."""
        return MDegree(degree=self.degree).plan(layout)


@hookimpl
def lipar_register_criteria(registry: Registry) -> None:
    registry.add("{short}", {name}Criterion)


@hookimpl
def lipar_register_recoveries(registry: Registry) -> None:
    registry.add("{short}-copies", {name}Recovery)
'''

_TESTS = '''\
"""Both parts satisfy the contract of their kind and are found by their names."""

import pytest
import torch
from {module} import {name}Criterion, {name}Recovery

from lipar import load_plugins
from lipar.testing.contracts import contract

PARTS = [("criterion", {name}Criterion), ("recovery", {name}Recovery)]


@pytest.mark.parametrize(
    ("make", "law"),
    [pytest.param(make, law, id=law.__name__) for kind, make in PARTS for law in contract(kind)],
)
def test_the_parts_keep_their_contracts(make, law):
    law(make)


def test_equal_tokens_are_at_no_distance_and_the_gain_scales_the_others():
    before = torch.zeros(1, 1, 2, 4)
    now = before.clone()
    now[0, 0, 1] = 3.0
    assert {name}Criterion(gain=2.0)(now, before).tolist() == [[[0.0, 6.0]]]


def test_both_are_found_once_the_distribution_is_installed():
    found = load_plugins().registries
    assert "{short}" in found["criterion"]
    assert "{short}-copies" in found["recovery"]
'''


def skeleton(name: str, *, adapter: bool = False) -> dict[str, str]:
    """The files of a new distribution, by their paths in its folder.

    Args:
        name: of the plugin, with or without `lipar-` before it.
        adapter: a family of transformers for `lipar.enable`, instead of a criterion and a recovery.

    Raises:
        ValueError: it is not of small letters, digits and single hyphens, beginning with a letter.
    """
    words = words_of(name)
    if adapter:
        return family_skeleton(words)
    files = {
        "pyproject.toml": _PYPROJECT,
        "README.md": _README,
        f"{words['module']}.py": _MODULE,
        "tests/test_parts.py": _TESTS,
    }
    return {path: text.format(**words) for path, text in files.items()}


def words_of(name: str) -> dict[str, str]:
    """What a distribution, its module, its classes and its parts are called.

    Raises:
        ValueError: see `skeleton`.
    """
    short = name.removeprefix("lipar-")
    if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)*", short):
        raise ValueError(
            f"a plugin's name is of small letters, digits and hyphens, for instance my-criterion; got {name!r}"
        )
    return {
        "short": short,
        "distribution": f"lipar-{short}",
        "module": f"lipar_{short.replace('-', '_')}",
        "name": "".join(word.capitalize() for word in short.split("-")),
    }
