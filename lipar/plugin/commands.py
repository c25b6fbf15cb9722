"""Commands of the command line by name: lipar's own and those that plugins offer. Nothing heavy is imported here."""

import warnings
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import attrs
import click

from lipar.plugin.guard import reason, running, stops
from lipar.plugin.installed import (
    COMMAND_GROUP,
    DISABLED,
    Plugin,
    PluginWarning,
    disabled_by_environment,
    installed,
)

HOOK = "lipar_register_commands"


@attrs.frozen
class Command:
    """A command before it is imported."""

    name: str
    target: str
    """`module:attribute`, a `click.Command`."""
    help: str
    """One line, for the list of commands."""
    plugin: Plugin

    def __str__(self) -> str:
        """How messages name it, with its plugin: entry point and distribution."""
        return f"command {self.name!r} (plugin {self.plugin.name} of {self.plugin})"

    def load(self) -> click.Command:
        """Import the command.

        Raises:
            Exception: the import failed; a note names the plugin, unless it is lipar's own.
            TypeError: the target is no `click.Command`.
        """
        module, _, attribute = self.target.partition(":")
        with running(None if self.plugin.distribution == "lipar" else str(self)):
            command = getattr(import_module(module), attribute)
            if not isinstance(command, click.Command):
                raise TypeError(f"{self.target} must be a click.Command, got a {type(command).__name__}")
        return command


class Commands:
    """The commands of the command line; `lipar_register_commands` is given one to add to."""

    def __init__(self) -> None:
        self.plugins: list[Plugin] = []
        """The plugins that offered commands, and those that were left out."""
        self._commands: dict[str, Command] = {}
        self._adding: Plugin = Plugin("commands", "lipar", "")
        """Whose commands are being added."""

    def add(self, name: object, target: object, help: object = "") -> None:
        """Offer a command.

        Args:
            name: the word after `lipar`, printable and without a space.
            target: `module:attribute` of a `click.Command`; imported when the command runs or its help is asked for.
            help: one line for the list of commands.

        Raises:
            TypeError: an argument is no string.
            ValueError: the name is taken or cannot be typed, or the target is not of the form `module:attribute`.
        """
        # checked here, since a plugin's own code is not type-checked and lists print these
        if not (isinstance(name, str) and isinstance(target, str) and isinstance(help, str)):
            raise TypeError(f"commands.add takes three strings, got {name!r}, {target!r}, {help!r}")
        if not name.isprintable() or name.split() != [name] or name.startswith("-"):
            raise ValueError(
                f"command {name!r} of {self._adding} needs a name that can be typed: no space, no leading -"
            )
        module, colon, attribute = target.partition(":")
        if not (module and colon and attribute):
            raise ValueError(f"command {name!r}: write its target as 'module:attribute', got {target!r}")
        command = Command(name, target, help, self._adding)
        taken = self._commands.get(name)
        if taken == command:  # a module that entry points of both groups name
            return
        if taken is not None:
            raise ValueError(
                f"command {name!r} is offered by {taken.plugin} and by {self._adding}; disable one with {DISABLED}"
            )
        self._commands[name] = command

    def offered_by(self, plugin: Plugin, register: Callable[[], Any]) -> None:
        """Let a plugin add its commands; one that fails is reported by name and left out with all its commands.

        Args:
            plugin: the owner of what is added.
            register: calls the plugin's hook.
        """
        before = dict(self._commands)
        self._adding = plugin
        try:
            register()
        except BaseException as error:  # whatever the plugin's code raises, the other commands stay
            self._commands = before
            self._leave_out(plugin, error)
        else:
            self.plugins.append(plugin)

    def load_entry_points(self, *, own_only: bool = False) -> None:
        """Add the commands of the installed plugins of the group `lipar.commands`, except those that are disabled.

        Args:
            own_only: of the installed plugins, only those that are lipar's own.
        """
        for plugin, entry_point in installed(COMMAND_GROUP, disabled_by_environment(), own_only=own_only):
            if plugin.disabled:
                self.plugins.append(plugin)
                continue
            try:
                register = _hook_of(entry_point.load())
            except BaseException as error:
                self._leave_out(plugin, error)
            else:
                self.offered_by(plugin, partial(register, self))

    def _leave_out(self, plugin: Plugin, error: BaseException) -> None:
        if stops(error):
            raise error
        self.plugins.append(attrs.evolve(plugin, error=reason(error)))
        warnings.warn(
            f"plugin {plugin.name} of {plugin} was left out: {reason(error)}", PluginWarning, stacklevel=3
        )

    def names_of(self, plugin: Plugin) -> list[str]:
        """The commands that a plugin offers."""
        return [command.name for command in self if command.plugin == plugin]

    def get(self, name: str) -> Command | None:
        """The command of that name, or None."""
        return self._commands.get(name)

    def __iter__(self) -> Iterator[Command]:
        return iter(self._commands.values())


def _hook_of(module: Any) -> Callable[[Commands], Any]:
    register = getattr(module, HOOK, None)
    if not callable(register):
        raise TypeError(f"it implements no {HOOK}(commands)")
    hook: Callable[[Commands], Any] = register
    return hook
