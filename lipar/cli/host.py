"""The plugins of a command."""

from functools import partial

import click

from lipar.cli.table import no_plugins
from lipar.plugin.commands import HOOK, Commands
from lipar.plugin.host import PluginHost, load_plugins


def plugin_host() -> PluginHost:
    """A host with all installed plugins; after `lipar --no-plugins` only with lipar's own."""
    return load_plugins(own_only=no_plugins(click.get_current_context(silent=True)))


def add_commands(host: PluginHost, commands: Commands) -> None:
    """Add the commands that the plugins of a host offer by `lipar_register_commands`.

    Args:
        host: the plugins.
        commands: gets their commands.
    """
    plugins = {plugin.name: plugin for plugin in host.plugins}
    for made in getattr(host.hook, HOOK).get_hookimpls():
        given = {"commands": commands} if "commands" in made.argnames else {}
        commands.offered_by(plugins[made.plugin_name], partial(made.function, **given))
