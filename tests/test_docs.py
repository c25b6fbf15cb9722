"""Every hook has its heading in the documents, with its arguments."""

import inspect
import re
from pathlib import Path

import pytest

from lipar import hookspecs

TEXT = (Path(__file__).parents[1] / "docs" / "reference" / "hooks.md").read_text("utf-8")
HOOKS = {name: spec for name, spec in vars(hookspecs).items() if name.startswith("lipar_")}
SECTIONS = dict(re.findall(r"^### (lipar_\w+\([^\n]*\))\n(.*?)(?=^##|\Z)", TEXT, re.MULTILINE | re.DOTALL))


def heading(name):
    return f"{name}({', '.join(inspect.signature(HOOKS[name]).parameters)})"


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_has_a_heading_and_says_what_each_argument_is(name):
    section = SECTIONS[heading(name)]
    described = re.findall(r"^- `(\w+)`: ", section, re.MULTILINE)
    assert described == list(inspect.signature(HOOKS[name]).parameters)


def test_no_heading_is_of_a_hook_that_is_gone():
    assert set(SECTIONS) == {heading(name) for name in HOOKS}


@pytest.mark.parametrize("name", HOOKS)
def test_every_spec_can_be_implemented_from_its_docstring(name):
    text = inspect.getdoc(HOOKS[name])
    assert all(
        re.search(rf"^ +{argument}: ", text, re.MULTILINE)
        for argument in inspect.signature(HOOKS[name]).parameters
    )
