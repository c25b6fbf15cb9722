"""The commands of the command line: lipar's own, and those of the installed plugins."""

import click

from lipar.plugin.commands import Commands
from lipar.plugin.installed import GROUP, Plugin, disabled_by_environment, installed

OWN = {
    "edit": ("lipar.cli.edit:edit", "Edit a video by a prompt, computing only the tokens that changed."),
    "batch": (
        "lipar.cli.batch:batch",
        "Edit many clips, on one machine or many, and go on where a run ended.",
    ),
    "live": ("lipar.cli.live:live", "Edit a camera while you watch, on a web page."),
    "strategies": ("lipar.cli.lists:strategies", "List every registered part with its options and owner."),
    "plugins": ("lipar.cli.lists:plugins", "List the plugins, what they offer, and why one was left out."),
    "models": ("lipar.cli.models:models", "List the models that `--model` takes, and fetch their files."),
    "check": ("lipar.cli.check:check", "Say whether a config can run."),
    "doctor": ("lipar.cli.doctor:doctor", "Say whether lipar can run on this machine, and how."),
    "new-plugin": ("lipar.cli.new_plugin:new_plugin", "Write a plugin to start from."),
}
"""Name -> target and help."""


def no_plugins(ctx: click.Context | None) -> bool:
    """Whether `lipar --no-plugins` was typed."""
    return bool(ctx and ctx.find_root().params.get("no_plugins"))


def own_commands() -> Commands:
    """The commands of lipar itself, without any plugin's."""
    commands = Commands()
    for name, (target, help) in OWN.items():
        commands.add(name, target, help)
    return commands


def command_table(ctx: click.Context) -> Commands:
    """All commands of this run: lipar's own, and those of the entry-point group `lipar.commands`, loaded once."""
    if __name__ not in ctx.meta:
        commands = own_commands()
        commands.load_entry_points(own_only=no_plugins(ctx))
        ctx.meta[__name__] = commands
    table: Commands = ctx.meta[__name__]
    return table


def third_party_plugins(ctx: click.Context) -> list[Plugin]:
    """The plugins of the group `lipar` that are not lipar's own and not disabled; none is loaded."""
    found = installed(GROUP, disabled_by_environment(), own_only=no_plugins(ctx))
    return [plugin for plugin, _ in found if plugin.distribution != "lipar" and not plugin.disabled]
