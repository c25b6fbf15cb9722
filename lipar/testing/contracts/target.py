"""What every target of `lipar.enable` keeps; no model is made."""

from collections.abc import Callable

from lipar.enabling.target import Target
from lipar.testing.contracts.law import law


@law("target")
def has_the_methods_of_a_target(make: Callable[[], Target]) -> None:
    """The methods of `lipar.enabling.target.Target`, and the names of what it supports."""
    target = make()
    assert isinstance(target, Target)
    assert target.supported.strip(), f"{type(target).__name__} does not say what it supports"


@law("target")
def recognises_only_its_own(make: Callable[[], Target]) -> None:
    """Every target is asked about every object, so it must refuse those that it does not know, without an error."""
    for other in (object(), None, 0, "model", [], object):
        assert make().recognises(other) is False
