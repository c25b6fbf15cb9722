"""The arguments of a transformer's forward, read and replaced by name."""

from collections.abc import Sequence
from typing import Any


class Arguments:
    """The arguments of one call, some of them given by position.

    Args:
        names: the parameters that may be given by position, in their order.
        args: given by position.
        kwargs: given by name.
    """

    def __init__(self, names: Sequence[str], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._names = names
        self.args, self.kwargs = args, kwargs

    def __getitem__(self, name: str) -> Any:
        """An argument of a parameter without a default."""
        return self.kwargs[name] if name in self.kwargs else self.args[self._names.index(name)]

    def get(self, name: str) -> Any:
        """An argument, or None where it was not given."""
        given = name in self.kwargs or self._names.index(name) < len(self.args)
        return self[name] if given else None

    def __setitem__(self, name: str, value: Any) -> None:
        """Replace an argument that was given."""
        if name in self.kwargs:
            self.kwargs = {**self.kwargs, name: value}
        else:
            index = self._names.index(name)
            self.args = (*self.args[:index], value, *self.args[index + 1 :])
