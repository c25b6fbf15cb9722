"""What the base classes of all kinds of parts share; the kinds are in `lipar.protocols`."""

from abc import ABC
from typing import Any, TypeVar

_Class = TypeVar("_Class", bound=type[Any])


def defaults(base: _Class) -> _Class:
    """Replace each property of a base class by its value.

    Written as properties, defaults have a docstring, and type checkers let a subclass override them by an attribute or
    by a property. As plain attributes they do not hide an option of the same name that an attrs class without slots
    keeps in its `__dict__`.
    """
    for name, member in list(vars(base).items()):
        if isinstance(member, property) and member.fget is not None:
            setattr(base, name, member.fget(base))
    return base


@defaults
class Part(ABC):  # noqa: B024 - what must be written differs between kinds
    """What the parts of all kinds but adapters have in common."""

    __slots__ = ()

    @property
    def needs(self) -> frozenset[str]:
        """Facts of `lipar.plugin.facts` that the part requires of the model or run."""
        return frozenset()
