"""Attributes of one object that replace a method of its class, and can be removed without a trace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class StandIn:
    """Replaces a method of one object; `stock` is what it replaces.

    It keeps no bound method, so that a deep copy or a pickle of the object refers to the copy throughout.

    Args:
        owner: the object.
        name: the method's name.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name
        self._replaced = vars(owner).get(name)

    @property
    def stock(self) -> Callable[..., Any]:
        """What is replaced: an attribute of the object itself, or the method of its class."""
        found: Callable[..., Any] = (
            getattr(type(self._owner), self._name).__get__(self._owner)
            if self._replaced is None
            else self._replaced
        )
        return found

    def put(self) -> None:
        """Replace the method from now on."""
        setattr(self._owner, self._name, self)

    @staticmethod
    def take_off(owner: Any, name: str) -> None:
        """Remove all stand-ins of a name, and put back what they replaced.

        Args:
            owner: the object.
            name: the method's name.
        """
        found = vars(owner).get(name)
        if not isinstance(found, StandIn):
            return
        while isinstance(found, StandIn):
            found = found._replaced
        if found is None:
            delattr(owner, name)
        else:
            setattr(owner, name, found)


@contextmanager
def replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute of an object inside a `with` block; afterwards it has its own again, or none.

    Args:
        owner: the object.
        name: the attribute.
        value: what it is inside the block.
    """
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
