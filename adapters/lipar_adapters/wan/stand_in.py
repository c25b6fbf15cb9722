"""Attributes of one object that stand in for a method of its class, and go without a trace."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class StandIn:
    """Stands in for a method of one object; `stock` is what was called before.

    It keeps no bound method, so that copying or pickling the object copies all of it.
    """

    def __init__(self, owner: Any, name: str) -> None:
        self._owner, self._name = owner, name
        self._replaced = vars(owner).get(name)

    @property
    def stock(self) -> Callable[..., Any]:
        """What stood there before: an attribute of the object's own, or the method of its class."""
        found: Callable[..., Any] = (
            getattr(type(self._owner), self._name).__get__(self._owner)
            if self._replaced is None
            else self._replaced
        )
        return found

    def put(self) -> None:
        """Stand there from now on."""
        setattr(self._owner, self._name, self)

    @staticmethod
    def take_off(owner: Any, name: str) -> None:
        """Put back what stood there before every stand-in on top."""
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
    """Let an object have another attribute for a while; afterwards it has its own again, or none."""
    before = vars(owner).get(name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if before is None:
            delattr(owner, name)
        else:
            setattr(owner, name, before)
