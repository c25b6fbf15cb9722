"""Names of modules that moved still work, and say what replaces them."""

import importlib
import sys

import pytest

import lipar
from lipar.enabling.target import EnableWarning, Target
from lipar.plugin.registry import Registry


@pytest.mark.parametrize(
    ("old", "new", "instead"),
    [
        ("enable", lipar.enable, r"lipar\.enable"),
        ("summary", lipar.summary, r"lipar\.summary"),
        ("Door", Target, r"lipar\.enabling\.target\.Target"),
        ("DoorWarning", EnableWarning, r"lipar\.enabling\.target\.EnableWarning"),
    ],
)
def test_an_old_name_is_the_new_one(old: str, new: object, instead: str) -> None:
    door = importlib.import_module("lipar.door")
    with pytest.warns(DeprecationWarning, match=f"lipar.door.{old} is deprecated; use {instead}"):
        assert getattr(door, old) is new


def test_the_old_config_of_whole_clips_is_what_enable_does_by_itself() -> None:
    door = importlib.import_module("lipar.door")
    with pytest.warns(DeprecationWarning, match="lipar.enable takes keywords, a dict or any lipar.Config"):
        assert door.WHOLE_CLIP.noise.name == "filtering"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Doors'"):
        importlib.import_module("lipar.door").Doors  # noqa: B018


def test_the_registry_is_where_plugins_imported_it_from() -> None:
    sys.modules.pop("lipar.registry", None)
    with pytest.warns(DeprecationWarning, match=r"import from lipar\.plugin\.registry"):
        assert importlib.import_module("lipar.registry").Registry is Registry
