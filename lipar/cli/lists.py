"""`lipar strategies`, `lipar plugins`: what is installed."""

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import click

from lipar.cli.loading import importing
from lipar.cli.options import debug_option
from lipar.cli.output import say
from lipar.cli.table import command_table
from lipar.plugin.commands import HOOK, Commands
from lipar.plugin.guard import reason, running
from lipar.plugin.installed import Plugin
from lipar.plugin.registry import KINDS, Registered

if TYPE_CHECKING:
    from lipar.plugin.host import PluginHost


def _option(field: "attrs.Attribute[Any]") -> str:
    name = field.alias or field.name
    type_name = getattr(field.type, "__name__", None) if isinstance(field.type, type) else str(field.type)
    if field.default is attrs.NOTHING:
        return f"{name}: {type_name} (required)"
    default = "..." if isinstance(field.default, attrs.Factory) else repr(field.default)  # type: ignore[arg-type]
    return f"{name}: {type_name} = {default}"


def installed_plugins() -> "PluginHost":
    """A host with all plugins, which needs torch."""
    with importing():
        from lipar.cli.host import plugin_host

        return plugin_host()


def describe_part(part: Registered) -> None:
    """Print a part with its options; one that cannot be described gives a line that says so."""
    try:
        with running(str(part)):
            lines = list(_lines(part))
    except Exception as error:  # one part that cannot be described must not hide the others
        lines = [f"{part.name:<20} cannot be described: {reason(error)}  [{part.owner}]"]
    say(*(f"  {line}" for line in lines))


def _lines(part: Registered) -> Iterator[str]:
    from lipar.plugin.compatibility import Giver, needs_of, spoken

    yield f"{part.name:<20} {part.summary}  [{part.owner}]"
    for field in part.options:
        yield f"{'':<20}   {_option(field)}"
    name = f"{part.kind} {part.name!r}"
    if part.kind == "adapter":
        yield f"{'':<20}   gives {spoken(Giver.of(part.part, name).facts)}"
    elif needs := needs_of(part.part, name):
        yield f"{'':<20}   needs {spoken(needs)}"


@click.command()
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
@debug_option
def strategies(kind: str | None) -> None:
    """List every registered part with its options and owner."""
    host = installed_plugins()
    for name in KINDS if kind is None else [kind]:
        say(KINDS[name].replace("_", " "), bold=True)
        for part in host.registries[name]:
            describe_part(part)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@debug_option
@click.pass_context
def plugins(ctx: click.Context, as_json: bool) -> None:
    """List the plugins: version, parts, commands and hooks that they offer, and why one was left out."""
    host, commands = installed_plugins(), command_table(ctx)
    from lipar.cli.host import add_commands

    add_commands(host, commands)
    found = [_Offer.of(plugin, host, commands) for plugin in _all_plugins(host, commands)]
    if as_json:
        say(*json.dumps([offer.as_dict() for offer in found], indent=1).splitlines())
        return
    for offer in found:
        plugin = offer.plugin
        say(f"{plugin.name:<20} {plugin!s:<20} {_state(plugin)}", fg="red" if plugin.error else None)
        say(*(f"{'':<20} {line}" for line in offer.lines()))


def _all_plugins(host: "PluginHost", commands: Commands) -> list[Plugin]:
    """The plugins of the host, and those that offer commands alone."""
    return [*host.plugins, *(plugin for plugin in commands.plugins if plugin not in host.plugins)]


@attrs.frozen
class _Offer:
    """What one plugin offers."""

    plugin: Plugin
    parts: dict[str, list[str]]
    commands: list[str]
    hooks: list[str]

    @classmethod
    def of(cls, plugin: Plugin, host: "PluginHost", commands: Commands) -> "_Offer":
        hooks, names = host.hooks_of(plugin), commands.names_of(plugin)
        if names and HOOK not in hooks:
            hooks = [*hooks, HOOK]
        return cls(plugin, host.parts_of(plugin), names, hooks)

    def as_dict(self) -> dict[str, Any]:
        offered = {"parts": self.parts, "commands": self.commands, "hooks": self.hooks}
        return attrs.asdict(self.plugin) | offered

    def lines(self) -> list[str]:
        named = {KINDS[kind].replace("_", " "): names for kind, names in self.parts.items()}
        named |= {"commands": self.commands, "hooks": self.hooks}
        return [f"{title}: {', '.join(names)}" for title, names in named.items() if names]


def _state(plugin: Plugin) -> str:
    if plugin.error:
        return f"failed: {plugin.error}"
    return "disabled" if plugin.disabled else "loaded"
