"""Parts by name: who offers them, and what to say when a name is taken or unknown."""

import attrs
import pytest

from lipar.plugin.registry import KINDS, Registry
from lipar.protocols import RecoveryPlan


@attrs.frozen
class Loud:
    """Louder than quiet.

    Much.
    """

    gain: float = 1.0
    _hidden: int = attrs.field(default=0, init=False)

    def plan(self, layout):
        return RecoveryPlan()


def filled(*names):
    registry = Registry("recovery")
    for name in names:
        registry.add(name, Loud)
    return registry


def test_a_part_is_found_with_its_owner_options_and_summary():
    registry = Registry("recovery")
    registry.owner = "lipar-loud 0.1"
    registry.add("loud", Loud)
    found = registry["loud"]
    assert (found.name, found.part, found.owner, found.summary) == (
        "loud",
        Loud,
        "lipar-loud 0.1",
        "Louder than quiet.",
    )
    assert [option.name for option in found.options] == ["gain"]
    assert "loud" in registry


def test_parts_are_listed_by_name():
    assert [part.name for part in filled("b", "a", "c")] == ["a", "b", "c"]


def test_a_name_that_is_taken_is_refused_with_both_owners():
    registry = filled()
    for owner in ("lipar 1", "lipar-cosine 0.2"):
        registry.owner = owner
        if owner == "lipar 1":
            registry.add("l1", Loud)
            continue
        with pytest.raises(
            ValueError, match=r"'l1' is offered by lipar 1 and by lipar-cosine 0\.2; disable one with LIPAR_"
        ):
            registry.add("l1", Loud)


def test_an_unknown_name_lists_what_there_is_and_the_nearest():
    with pytest.raises(
        LookupError, match="no recovery named 'm-degre'; registered: m-degree, none; did you mean 'm-degree'"
    ):
        filled("none", "m-degree")["m-degre"]
    with pytest.raises(LookupError, match=r"registered: none$"):
        filled()["x"]


@pytest.mark.parametrize("part", [object, Loud(), None, "Loud"], ids=repr)
def test_a_part_is_an_attrs_class(part):
    with pytest.raises(TypeError, match=r"recovery 'x' of lipar must be an attrs class"):
        filled().add("x", part)


@pytest.mark.parametrize("name", [None, 7, ("a", "b"), b"loud", Loud, float("nan")], ids=repr)
def test_a_name_is_a_string(name):
    with pytest.raises(TypeError, match=r"of lipar must be registered under a string, got a \w+$"):
        filled("a").add(name, Loud)


@pytest.mark.parametrize(
    "name", ["", " ", "two\nlines", "red\x1b[31m", " space", "tab\t", "\u202e"], ids=repr
)
def test_a_name_can_be_written_in_a_config(name):
    with pytest.raises(ValueError, match="needs a name that can be written in a config"):
        filled("a").add(name, Loud)


def test_a_part_whose_docstring_is_none_still_has_a_summary():
    @attrs.frozen
    class Odd(Loud):
        __doc__ = 7

    registry = filled()
    registry.add("odd", Odd)
    assert registry["odd"].summary == ""


def test_a_snapshot_can_be_gone_back_to():
    registry = filled("a")
    before = registry.snapshot()
    registry.add("b", Loud)
    registry.restore(before)
    assert [part.name for part in registry] == ["a"]


@pytest.mark.parametrize("kind", ["merging", "reuse"])
def test_the_name_that_turns_a_kind_off_is_not_registered(kind):
    with pytest.raises(
        ValueError, match="needs another name: in a config, 'none' turns this kind of part off"
    ):
        Registry(kind).add("none", Loud)


def test_there_are_eight_kinds_that_a_run_is_made_of_and_the_targets_of_enable():
    assert len(KINDS) == 9
    assert "target" in KINDS
