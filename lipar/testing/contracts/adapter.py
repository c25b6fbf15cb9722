"""Laws for adapters before loading; weights are not read."""

import inspect
from collections.abc import Callable
from typing import Any

import attrs

from lipar.plugin.compatibility import Giver
from lipar.protocols import Adapter
from lipar.testing.contracts.law import law


@law("adapter")
def loads_on_a_device_and_in_a_type(make: Callable[[], Adapter]) -> None:
    """`load(device, dtype)`, called by position."""
    adapter = make()
    assert isinstance(adapter, Adapter)
    inspect.signature(adapter.load).bind("cpu", "float32")


@law("adapter")
def has_options_with_types(make: Callable[[], Adapter]) -> None:
    """Values of a config are converted to the types of the fields."""
    part: Any = type(make())
    untyped = [field.name for field in attrs.fields(part) if field.init and field.type is None]
    assert untyped == []


@law("adapter")
def gives_something(make: Callable[[], Adapter]) -> None:
    """Facts of `lipar.plugin.facts` that parts can rely on."""
    adapter = make()
    assert Giver.of(adapter, type(adapter).__name__).facts
