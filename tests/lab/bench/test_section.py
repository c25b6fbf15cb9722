"""Every name of a section has a module with the functions of a section."""

import inspect
from pathlib import Path

import pytest

import lipar_lab.bench.sections
from lipar_lab.bench import SECTIONS
from lipar_lab.bench.section import Section, section_named


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_has_the_functions_that_the_protocol_lists(name):
    section = section_named(name)
    assert isinstance(section, Section)
    for function in ("fits", "measure", "lines"):
        wanted = inspect.signature(getattr(Section, function))
        found = inspect.signature(getattr(section, function))
        assert list(found.parameters) == list(wanted.parameters)[1:], function


def test_every_module_in_the_folder_is_named():
    (folder,) = lipar_lab.bench.sections.__path__
    modules = {path.stem for path in Path(folder).glob("*.py")} - {"__init__"}
    assert modules == {name.replace("-", "_") for name in SECTIONS}


def test_a_hyphen_of_a_name_is_an_underscore_of_its_module():
    assert section_named("end-to-end").__name__ == "lipar_lab.bench.sections.end_to_end"


def test_an_unknown_name_is_refused_with_all_names():
    with pytest.raises(LookupError, match="no section named 'speed'; there are: overhead, sweep"):
        section_named("speed")
