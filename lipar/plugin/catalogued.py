"""The entries of the catalogue that adapters offer, and a model by its name there."""

import difflib

from lipar.catalogue.entry import Entry
from lipar.config import ConfigError, PartConfig
from lipar.plugin.guard import running
from lipar.plugin.host import PluginHost

WEIGHTS = "weights"
"""Option of an adapter with a catalogue: the name of the entry whose files it reads, where none are named."""


def catalogue_of(host: PluginHost) -> dict[str, Entry]:
    """The entries that the adapters of a host offer, by name.

    Raises:
        ValueError: two adapters offer different entries of one name.
        TypeError: an adapter offers something else than entries.
    """
    entries: dict[str, Entry] = {}
    for registered in host.registries["adapter"]:
        with running(None if registered.own else str(registered)):
            offered = registered.part.catalogue()
            for entry in offered:
                if not isinstance(entry, Entry):
                    raise TypeError(
                        f"catalogue() of {registered} must give entries, got a {type(entry).__name__}"
                    )
                if entries.setdefault(entry.name, entry) != entry:
                    raise ValueError(
                        f"{entry.name!r} of the catalogue is offered twice, also by {registered}"
                    )
    return entries


def entry_of(host: PluginHost, name: str) -> Entry:
    """An entry by its name, or the first one that an adapter of that name runs.

    Raises:
        LookupError: there is none; the message lists what there is.
    """
    entries = catalogue_of(host)
    if name in entries:
        return entries[name]
    adapters = host.registries["adapter"]
    if name in adapters:
        for entry in entries.values():
            if entry.adapter == name:
                return entry
        raise LookupError(
            f"the adapter {name!r} has no files in the catalogue; `lipar models show {name}` describes it"
        )
    near = difflib.get_close_matches(name, [*entries, *(each.name for each in adapters)], n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise LookupError(
        f"no model named {name!r} in the catalogue; there are: {', '.join(sorted(entries))}{hint}"
    )


def with_adapter(host: PluginHost, chosen: PartConfig) -> PartConfig:
    """An adapter by its own name, or by the name of an entry that it runs.

    Args:
        host: where adapters are registered.
        chosen: name and options; its options go before those of the entry.

    Raises:
        ConfigError: no adapter runs that entry.
    """
    if chosen.name in host.registries["adapter"]:
        return chosen
    entry = catalogue_of(host).get(chosen.name)
    if entry is None:
        return chosen
    if entry.adapter is None:
        note = f": {entry.note}" if entry.note else ""
        raise ConfigError(f"{entry.name} is in the catalogue, but no adapter runs it{note}")
    return PartConfig(entry.adapter, {WEIGHTS: entry.name, **entry.options, **chosen.options})
