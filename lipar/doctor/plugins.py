"""Plugins that are loaded, disabled or failed, and what of the catalogue is on this machine."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from lipar.doctor.finding import Finding
from lipar.plugin.installed import DISABLED, Plugin


def plugin_findings(plugins: Iterable[Plugin], disabled: Iterable[str]) -> Iterator[Finding]:
    """The state of each plugin; those of lipar that are loaded are one line.

    Args:
        plugins: of a host, and those that offer commands alone.
        disabled: names in LIPAR_DISABLED_PLUGINS.
    """
    known = [*plugins]
    own = [plugin for plugin in known if plugin.distribution == "lipar" and plugin.loaded]
    yield Finding("lipar", "ok", f"{len(own)} loaded: {', '.join(plugin.name for plugin in own)}")
    for plugin in known:
        if plugin in own:
            continue
        if plugin.error:
            ours = plugin.distribution == "lipar"
            yield Finding(
                plugin.name,
                "broken" if ours else "warning",
                f"of {plugin}: failed: {plugin.error}",
                "install lipar again"
                if ours
                else f"tell its author, or leave it out with {DISABLED}={plugin.name}",
            )
        else:
            state = "disabled" if plugin.disabled else "loaded"
            yield Finding(plugin.name, "ok", f"of {plugin}: {state}")
    names = {name for plugin in known for name in (plugin.name, plugin.distribution)}
    for name in disabled:
        if name not in names:
            yield Finding(
                name, "warning", f"named in {DISABLED}, but there is no such plugin", "correct the name"
            )


def catalogue_findings(host: Any, folder: Any = None) -> Iterator[Finding]:
    """The models of the catalogue of which there are files, and how many are missing.

    Args:
        host: whose adapters offer the catalogue.
        folder: of models; None: that of `LIPAR_MODELS`, and the hub's cache.
    """
    from lipar.catalogue.places import look_for
    from lipar.plugin.catalogued import catalogue_of

    counts: Counter[str] = Counter()
    for entry in catalogue_of(host).values():
        found = [look_for(part, folder) for part in entry.parts]
        states = {each.state for each in found}
        state = states.pop() if len(states) == 1 else "partial"
        counts[state] += 1
        fetch = f"lipar models fetch {entry.name}"
        if any(each.of_another_size for each in found):
            text = (
                "some files have another size than those of the catalogue: of another revision, or not whole"
            )
            yield Finding(entry.name, "note", text, fetch)
        elif state == "partial":
            missing = sum(len(each.missing) for each in found)
            yield Finding(entry.name, "note", f"{missing} files are missing", fetch)
        elif state == "complete":
            yield Finding(entry.name, "ok", "complete")
    text = f"{counts['missing']} of {counts.total()} models of the catalogue are not here"
    yield Finding("others", "ok", f"{text}; the adapter tiny needs none")
