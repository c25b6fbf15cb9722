"""Parts by name, one registry for each kind."""

import contextlib
import difflib
import inspect
from collections.abc import Iterator
from typing import Any

import attrs

from lipar.config_tables import NO_PART, OPTIONAL_PARTS

KINDS = {
    "criterion": "criteria",
    "refiner": "refiners",
    "recovery": "recoveries",
    "noise": "noise_sources",
    "restorer": "restorers",
    "merging": "mergings",
    "reuse": "reuses",
    "adapter": "adapters",
    "target": "targets",
}
"""Each kind of part, and the plural that its `lipar_register_*` hook is named by."""


@attrs.frozen
class Registered:
    """A part class, its name, and the plugin that registered it."""

    name: str
    part: type[Any]
    owner: str
    plugin: str = ""
    kind: str = ""

    def __str__(self) -> str:
        """Its name in messages, with its plugin: entry point and distribution."""
        return f"{self.kind} {self.name!r} (plugin {self.plugin} of {self.owner})"

    @property
    def own(self) -> bool:
        """Whether it is from lipar itself; the errors of such a part need no note."""
        return self.owner.partition(" ")[0] == "lipar"

    @property
    def options(self) -> tuple["attrs.Attribute[Any]", ...]:
        """The part's options: its attrs fields that `__init__` takes."""
        return tuple(field for field in attrs.fields(self.part) if field.init)

    @property
    def summary(self) -> str:
        """First line of the part's docstring."""
        text = self.part.__doc__
        return text.strip().partition("\n")[0] if isinstance(text, str) else ""


class Registry:
    """The parts of one kind."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.owner = "lipar"
        """The distribution that registers next; set by the plugin host."""
        self.plugin = ""
        """The plugin that registers next; set by the plugin host."""
        self._parts: dict[str, Registered] = {}

    def add(self, name: object, part: object) -> None:
        """Register a part.

        Args:
            name: a string that can be written in a config; checked here, since lists and messages use it.
            part: an attrs class, of the kind's base class or with its methods (see `complete`).

        Raises:
            TypeError: the name is no string; or `part` is not an attrs class, so its options could not be listed; or it
                lacks a method of its kind.
            ValueError: the name is taken, or it could not be written in a config or a list.
        """
        who = f"{self.kind} {name!r} of {self.owner}"
        if not isinstance(name, str):
            raise TypeError(f"{who} must be registered under a string, got a {type(name).__name__}")
        if not name or not name.isprintable() or name != name.strip():
            raise ValueError(
                f"{who} needs a name that can be written in a config: printable characters, at least one, and no "
                "space at either end"
            )
        if self.kind in OPTIONAL_PARTS and name == NO_PART:
            raise ValueError(
                f"{who} needs another name: in a config, {NO_PART!r} turns this kind of part off"
            )
        if not inspect.isclass(part) or not attrs.has(part):
            raise TypeError(f"{who} must be an attrs class, got {part!r}")
        taken = self._parts.get(name)
        if taken is not None:
            raise ValueError(
                f"{self.kind} {name!r} is offered by {taken.owner} and by {self.owner}; "
                "disable one with LIPAR_DISABLED_PLUGINS"
            )
        from lipar.plugin.completion import complete  # the command line reads this module without torch

        try:
            complete(self.kind, part)
        except TypeError as error:
            raise TypeError(f"{who} {error}") from error
        # a module with `from __future__ import annotations` has its fields' types as text
        with contextlib.suppress(NameError):
            attrs.resolve_types(part)
        self._parts[name] = Registered(name, part, self.owner, self.plugin, self.kind)

    def snapshot(self) -> dict[str, Registered]:
        """What is registered now, for `restore`."""
        return dict(self._parts)

    def restore(self, parts: dict[str, Registered]) -> None:
        """Go back to a snapshot after a plugin failed half-way."""
        self._parts = parts

    def __getitem__(self, name: str) -> Registered:
        """The part with this name.

        Raises:
            LookupError: there is none; the message lists the registered ones.
        """
        found = self._parts.get(name)
        if found is not None:
            return found
        near = difflib.get_close_matches(name, self._parts, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise LookupError(
            f"no {self.kind} named {name!r}; registered: {', '.join(sorted(self._parts)) or 'none'}{hint}"
        )

    def __iter__(self) -> Iterator[Registered]:
        return iter(sorted(self._parts.values(), key=lambda part: part.name))

    def __contains__(self, name: str) -> bool:
        return name in self._parts
