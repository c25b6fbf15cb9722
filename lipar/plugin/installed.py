"""The plugins that are installed: what their entry points say before anything of them is imported."""

import importlib.metadata
import os
from collections.abc import Collection
from typing import Any

import attrs

GROUP = "lipar"
"""Entry points of plugins: parts, stages and observers. Loading them needs torch."""
COMMAND_GROUP = "lipar.commands"
"""Entry points of modules that offer commands; they are loaded for `lipar --help`, so they stay light."""
DISABLED = "LIPAR_DISABLED_PLUGINS"


class PluginWarning(UserWarning):
    """A plugin could not be loaded and was left out, or failed while it observed a run and was removed."""


@attrs.frozen
class Plugin:
    """A plugin and the distribution it came from."""

    name: str
    distribution: str
    version: str
    error: str | None = None
    """Why it was left out or removed."""
    disabled: bool = False
    """Whether it was left out on request."""

    @property
    def loaded(self) -> bool:
        """Whether its hooks are called."""
        return self.error is None and not self.disabled

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}" if self.version else self.distribution


def installed(
    group: str, disabled: Collection[str] = (), *, own_only: bool = False
) -> list[tuple[Plugin, Any]]:
    """The plugins of an entry-point group, each with its entry point, which is not loaded yet.

    lipar's own come first, so that a third-party plugin that takes a built-in name is the one that is refused.

    Args:
        group: `GROUP` or `COMMAND_GROUP`.
        disabled: entry points or distributions to mark as disabled.
        own_only: mark every plugin that is not lipar's own as disabled.
    """
    found = [
        (_described(entry_point), entry_point) for entry_point in importlib.metadata.entry_points(group=group)
    ]
    found.sort(key=lambda pair: (pair[0].distribution != "lipar", pair[0].name, pair[0].distribution))
    return [
        (attrs.evolve(plugin, disabled=_is_disabled(plugin, disabled, own_only)), entry_point)
        for plugin, entry_point in found
    ]


def _is_disabled(plugin: Plugin, disabled: Collection[str], own_only: bool) -> bool:
    named = bool({plugin.name, plugin.distribution} & set(disabled))
    return named or (own_only and plugin.distribution != "lipar")


def _described(entry_point: Any) -> Plugin:
    dist = entry_point.dist
    if dist is None:
        return Plugin(entry_point.name, "unknown", "")
    # a distribution whose metadata are broken has neither
    return Plugin(entry_point.name, dist.name or "unknown", dist.version or "")


def disabled_by_environment() -> list[str]:
    """Names in LIPAR_DISABLED_PLUGINS, separated by commas."""
    return [name.strip() for name in os.environ.get(DISABLED, "").split(",") if name.strip()]
