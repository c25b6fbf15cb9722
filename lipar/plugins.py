"""Finding plugins by entry point, loading them, and keeping the host up when one fails."""

import importlib.metadata
import os
import warnings
from collections.abc import Collection, Iterable
from typing import Any

import attrs
import pluggy

from lipar import hookspecs
from lipar.registry import KINDS, Registry

GROUP = "lipar"
DISABLED = "LIPAR_DISABLED_PLUGINS"


class PluginWarning(UserWarning):
    """A plugin could not be loaded and was left out."""


@attrs.frozen
class Plugin:
    """A plugin and the distribution it came from."""

    name: str
    distribution: str
    version: str
    error: str | None = None

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}" if self.version else self.distribution


class PluginHost:
    """The hooks and the parts of one plugin manager. Nothing is shared between two of them."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("lipar")
        self.manager.add_hookspecs(hookspecs)
        self.registries = {kind: Registry(kind) for kind in KINDS}
        self.plugins: list[Plugin] = []

    @property
    def hook(self) -> pluggy.HookRelay:
        return self.manager.hook

    def register(self, module: Any, plugin: Plugin) -> None:
        """Register a plugin's hooks and collect its parts; a plugin that fails is reported and left out."""
        before = {kind: registry.snapshot() for kind, registry in self.registries.items()}
        try:
            self.manager.register(module, name=plugin.name)
            self.manager.check_pending()
            self._collect(module, plugin)
        except Exception as error:  # whatever a stranger's module raises, the host stays up
            if self.manager.has_plugin(plugin.name):
                self.manager.unregister(name=plugin.name)
            for kind, parts in before.items():
                self.registries[kind].restore(parts)
            self._reject(plugin, error)
        else:
            self.plugins.append(plugin)

    def _collect(self, module: Any, plugin: Plugin) -> None:
        for kind, plural in KINDS.items():
            registry = self.registries[kind]
            caller = getattr(self.hook, f"lipar_register_{plural}")
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module:
                    registry.owner, registry.plugin = str(plugin), plugin.name
                    implementation.function(*([registry] if "registry" in implementation.argnames else []))

    def _reject(self, plugin: Plugin, error: BaseException) -> None:
        reason = f"{type(error).__name__}: {error}"
        self.plugins.append(attrs.evolve(plugin, error=reason))
        warnings.warn(f"plugin {plugin.name} of {plugin} was left out: {reason}", PluginWarning, stacklevel=3)

    def load_entry_points(self, disabled: Collection[str]) -> None:
        """Load the installed plugins, except those whose entry point or distribution is named in `disabled`."""
        # ours first: a stranger that takes a built-in name is the one to be left out
        found = importlib.metadata.entry_points(group=GROUP)
        for entry_point in sorted(found, key=lambda e: (getattr(e.dist, "name", "") != "lipar", e.name)):
            dist = entry_point.dist
            plugin = Plugin(entry_point.name, dist.name if dist else "unknown", dist.version if dist else "")
            if {plugin.name, plugin.distribution} & set(disabled):
                continue
            try:
                module = entry_point.load()
            except (Exception, SystemExit) as error:  # a broken import must not take the host down
                self._reject(plugin, error)
                continue
            self.register(module, plugin)


def disabled_by_environment() -> list[str]:
    """Names in LIPAR_DISABLED_PLUGINS, separated by commas."""
    return [name.strip() for name in os.environ.get(DISABLED, "").split(",") if name.strip()]


def load_plugins(*extra: Any, disabled: Iterable[str] | None = None) -> PluginHost:
    """A new plugin host with lipar's stages, all installed plugins, and `extra` modules or objects.

    Args:
        extra: plugin objects to register last, which therefore answer first.
        disabled: entry points or distributions to leave out; None: those in LIPAR_DISABLED_PLUGINS.
    """
    from lipar import stages

    host = PluginHost()
    host.register(stages, Plugin("stages", "lipar", ""))
    host.load_entry_points(disabled_by_environment() if disabled is None else list(disabled))
    for plugin in extra:
        name = getattr(plugin, "__name__", type(plugin).__name__)
        host.register(plugin, Plugin(f"{name}-{id(plugin):x}", name, ""))
    return host
