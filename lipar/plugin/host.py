"""Finds plugins by entry point and loads them; one that fails is left out, the others stay."""

import warnings
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import attrs
import pluggy

from lipar import hookspecs
from lipar.plugin import stages
from lipar.plugin.guard import DECIDING, OBSERVING, caught, guarded, guarded_wrapper, reason, stops
from lipar.plugin.installed import (
    DISABLED,
    GROUP,
    Plugin,
    PluginWarning,
    disabled_by_environment,
    installed,
)
from lipar.plugin.registry import KINDS, Registry

OWN_STAGES = "stages"
"""Name of lipar's own plugin, which implements the stages if no other does; its errors need no name."""


class PluginHost:
    """The hooks and the parts of one plugin manager. Nothing is shared between two of them."""

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager("lipar")
        self.manager.add_hookspecs(hookspecs)
        self.registries = {kind: Registry(kind) for kind in KINDS}
        self.plugins: list[Plugin] = []
        self._deciding: set[str] = set()
        """Names of the plugins that implement a stage or changed a result; without them the run would differ."""

    @property
    def hook(self) -> pluggy.HookRelay:
        """The hooks, each called by its name with keyword arguments."""
        return self.manager.hook

    def register(self, module: Any, plugin: Plugin) -> None:
        """Register a plugin's hooks and collect its parts; a plugin that fails is left out with a warning.

        Args:
            module: the module or object with the hooks.
            plugin: its name and distribution.
        """
        before = {kind: registry.snapshot() for kind, registry in self.registries.items()}
        begun = False
        try:
            self._check_new(module, plugin)
            begun = True
            self.manager.register(module, name=plugin.name)
            self.manager.check_pending()
            self._collect(module, plugin)
            if module is not stages:
                self._guard(module, plugin)
        except BaseException as error:  # whatever a plugin raises, the host goes on
            if begun and self.manager.has_plugin(plugin.name):  # else the name may be another's
                self.manager.unregister(name=plugin.name)
                self._deciding.discard(plugin.name)
            for kind, parts in before.items():
                self.registries[kind].restore(parts)
            self._reject(plugin, error)
        else:
            self.plugins.append(plugin)

    def _check_new(self, module: Any, plugin: Plugin) -> None:
        """Refuse None, and names and modules that are taken: pluggy distinguishes plugins by these."""
        if module is None:
            raise TypeError("its entry point gives None; name a module, or an object with hooks")
        by_name = next((p for p in self.plugins if p.name == plugin.name and p.loaded), None)
        if by_name is not None:
            raise ValueError(
                f"the entry point {plugin.name!r} is offered by {by_name} and by {plugin}; disable one by its "
                f"distribution with {DISABLED}, or rename it, for instance to {plugin.distribution!r}"
            )
        taken = self.manager.get_name(module)
        if taken is not None:
            raise ValueError(f"the entry point {taken!r} already gives the same module; name it once")

    def _collect(self, module: Any, plugin: Plugin) -> None:
        for kind, plural in KINDS.items():
            registry = self.registries[kind]
            caller = getattr(self.hook, f"lipar_register_{plural}")
            for implementation in caller.get_hookimpls():
                if implementation.plugin is module:
                    if implementation.wrapper or implementation.hookwrapper:
                        raise TypeError(f"lipar_register_{plural} must be a plain hook, not a wrapper")
                    registry.owner, registry.plugin = str(plugin), plugin.name
                    implementation.function(*([registry] if "registry" in implementation.argnames else []))

    def _guard(self, module: Any, plugin: Plugin) -> None:
        """Wrap each hook that is called while a video is edited in a guard."""
        callers = self.manager.get_hookcallers(module) or []
        watched = [
            (caller, made)
            for caller in callers
            for made in caller.get_hookimpls()
            if made.plugin is module and caller.name in DECIDING | OBSERVING
        ]
        for caller, made in watched:
            name = caller.name
            if made.hookwrapper:
                raise TypeError(
                    f"{name} is marked hookwrapper=True; write wrapper=True and return what is yielded"
                )
            who = f"{name} of plugin {plugin.name} of {plugin}"
            failed = partial(self._failed, plugin, who)
            checked = partial(stages.ANSWERS[name], who) if name in DECIDING else _ignored
            own = made.argnames
            # Read-only for plugins, but pluggy has no other way to see the errors and results of one implementation
            # apart from the others'. It gets all arguments, since results are checked against them.
            made.argnames = given = caller.spec.argnames if caller.spec else own  # type: ignore[misc]
            if made.wrapper:
                decided = partial(self._deciding.add, plugin.name)
                made.function = guarded_wrapper(  # type: ignore[misc]
                    made.function, own, given, failed, checked, decided
                )
                continue
            if name in DECIDING:
                self._deciding.add(plugin.name)
            made.function = guarded(made.function, own, given, failed, checked)  # type: ignore[misc]

    def _failed(self, plugin: Plugin, who: str, error: BaseException) -> None:
        told = reason(error)
        error = caught(error, who)
        if plugin.name in self._deciding:
            raise error
        if not self.manager.has_plugin(plugin.name):
            return
        self.manager.unregister(name=plugin.name)
        self.plugins = [attrs.evolve(p, error=told) if p == plugin else p for p in self.plugins]
        warnings.warn(
            f"{told} (raised in {who}); it is removed, the run goes on", PluginWarning, stacklevel=4
        )

    def _reject(self, plugin: Plugin, error: BaseException) -> None:
        """List a plugin as left out.

        Raises:
            BaseException: the error itself, if it is Ctrl-C or SIGTERM.
        """
        if stops(error):
            raise error
        told = reason(error)
        self.plugins.append(attrs.evolve(plugin, error=told))
        warnings.warn(f"plugin {plugin.name} of {plugin} was left out: {told}", PluginWarning, stacklevel=3)

    def add(self, plugin: Any) -> str:
        """Register a module or object that is not from a distribution; gives its name in the host."""
        name = getattr(plugin, "__name__", type(plugin).__name__)
        entry = f"{name}-{id(plugin):x}" if self.manager.has_plugin(name) else name
        self.register(plugin, Plugin(entry, name, ""))
        return entry

    @contextmanager
    def extended(self, *plugins: Any) -> Iterator[None]:
        """Context with some more plugins, whose hooks are called first; they must not offer parts."""
        names = [self.add(plugin) for plugin in plugins]
        try:
            yield
        finally:
            for name in names:
                if self.manager.has_plugin(name):
                    self.manager.unregister(name=name)
            self.plugins = [plugin for plugin in self.plugins if plugin.name not in names]
            self._deciding.difference_update(names)

    def hooks_of(self, plugin: Plugin) -> list[str]:
        """The hooks that a plugin implements, in the order of the specs; none if it was left out or removed."""
        module = self.manager.get_plugin(plugin.name) if plugin.loaded else None
        if module is None:
            return []
        implemented = {caller.name for caller in self.manager.get_hookcallers(module) or []}
        return [name for name in vars(hookspecs) if name in implemented]

    def parts_of(self, plugin: Plugin) -> dict[str, list[str]]:
        """The names that a plugin offers, by kind."""
        offered = {
            kind: [part.name for part in registry if (part.plugin, part.owner) == (plugin.name, str(plugin))]
            for kind, registry in self.registries.items()
        }
        return {kind: names for kind, names in offered.items() if names}

    def load_entry_points(self, disabled: Collection[str], *, own_only: bool = False) -> None:
        """Load the installed plugins.

        Args:
            disabled: names of entry points or distributions to leave out.
            own_only: leave out all that are not lipar's own.
        """
        for plugin, entry_point in installed(GROUP, disabled, own_only=own_only):
            if plugin.disabled:
                self.plugins.append(plugin)
                continue
            try:
                module = entry_point.load()
            except BaseException as error:  # a broken import must not end the host
                self._reject(plugin, error)
                continue
            self.register(module, plugin)


def _ignored(given: Any, beneath: Any, answer: Any) -> None:
    """The result of a hook that only observes."""


def load_plugins(*extra: Any, disabled: Iterable[str] | None = None, own_only: bool = False) -> PluginHost:
    """A new plugin host with lipar's stages, all installed plugins, and `extra` modules or objects.

    Args:
        extra: plugin objects to register last, whose hooks are therefore called first.
        disabled: entry points or distributions to leave out; None: those in LIPAR_DISABLED_PLUGINS.
        own_only: load only lipar's own of the installed plugins.
    """
    host = PluginHost()
    host.register(stages, Plugin(OWN_STAGES, "lipar", ""))
    host.load_entry_points(
        disabled_by_environment() if disabled is None else list(disabled), own_only=own_only
    )
    for plugin in extra:
        host.add(plugin)
    return host
