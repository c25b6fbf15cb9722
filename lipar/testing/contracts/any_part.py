"""Laws for parts of every kind."""

from collections.abc import Callable
from typing import Any

import attrs

from lipar.plugin.compatibility import Giver, needs_of
from lipar.protocols import Adapter
from lipar.testing.contracts.law import law


@law("any part")
def is_an_attrs_class_that_says_what_it_is(make: Callable[[], Any]) -> None:
    """`lipar strategies` shows the first line of the docstring, and the fields as options."""
    part = type(make())
    assert attrs.has(part)
    assert (part.__doc__ or "").strip(), f"{part.__name__} has no docstring to list it by"


@law("any part")
def two_of_the_same_options_are_two(make: Callable[[], Any]) -> None:
    """Each run makes its own parts, which must not share anything that changes."""
    first, second = make(), make()
    mutable = (list, dict, set)
    for field in attrs.fields(type(first)):
        held = getattr(first, field.name)
        assert not (isinstance(held, mutable) and held is getattr(second, field.name)), field.name


@law("any part")
def declares_known_facts(make: Callable[[], Any]) -> None:
    """`needs`, or `gives` of an adapter, is a set of facts of `lipar.plugin.facts`."""
    part = make()
    declared = Giver.of if isinstance(part, Adapter) else needs_of
    declared(part, type(part).__name__)
