"""The plugins of a command."""

import click

from lipar.plugin.host import PluginHost, load_plugins


def plugin_host() -> PluginHost:
    """All that are installed; after `lipar --no-plugins` only lipar's own."""
    context = click.get_current_context(silent=True)
    return load_plugins(own_only=bool(context and context.find_root().params.get("no_plugins")))
