"""A method of one object is replaced, and put back without a trace."""

import copy
import pickle
from typing import Any

import pytest

from lipar_adapters.stock.stand_in import StandIn, replaced


class Thing:
    """Has a method."""

    def name(self) -> str:
        return "stock"


class Loud(StandIn):
    """Answers loudly."""

    def __call__(self) -> str:
        return str(self.stock()).upper()


def test_a_method_is_replaced_for_one_object_alone() -> None:
    thing, other = Thing(), Thing()
    Loud(thing, "name").put()
    assert (thing.name(), other.name()) == ("STOCK", "stock")
    StandIn.take_off(thing, "name")
    assert vars(thing) == {}


def test_an_attribute_of_the_objects_own_comes_back_from_under_two_stand_ins() -> None:
    thing: Any = Thing()
    thing.name = own = lambda: "own"
    Loud(thing, "name").put()
    Loud(thing, "name").put()
    assert thing.name() == "OWN"
    StandIn.take_off(thing, "name")
    assert thing.name is own
    StandIn.take_off(thing, "name")
    assert thing.name is own


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))])
def test_a_copy_refers_to_itself(duplicate: Any) -> None:
    thing = Thing()
    Loud(thing, "name").put()
    other = duplicate(thing)
    assert other.name() == "STOCK"
    assert vars(other)["name"]._owner is other


def test_an_attribute_is_replaced_inside_a_block_also_one_that_fails() -> None:
    thing = Thing()
    with replaced(thing, "name", lambda: "inside"):
        assert thing.name() == "inside"
    assert vars(thing) == {}
    with pytest.raises(ZeroDivisionError), replaced(thing, "name", lambda: 1 / 0):
        thing.name()
    assert vars(thing) == {}
