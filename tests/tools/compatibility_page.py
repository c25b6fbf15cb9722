"""Write the tables of docs/reference/compatibility.md again: `python tests/tools/compatibility_page.py`."""

from collections.abc import Iterator
from pathlib import Path

from lipar import ConfigError, load_plugins
from lipar.config import PartConfig
from lipar.plugin.compatibility import FACTS, FORWARD_KINDS, Giver, check_chain, needs_of, spoken
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_part
from lipar.plugin.registry import KINDS, Registered
from lipar_adapters.wan.target import FACTS as WAN_FACTS

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "compatibility.md"
BEGIN = "<!-- from here on written by tests/tools/compatibility_page.py -->\n"


def own_parts(host: PluginHost, kind: str) -> list[Registered]:
    """The parts that come with lipar."""
    return [part for part in host.registries[kind] if part.owner.split()[0] == "lipar"]


def givers(host: PluginHost) -> list[Giver]:
    """Every adapter that comes with lipar, and `lipar.enable`."""
    adapters = [Giver.of(part.part, part.name) for part in own_parts(host, "adapter")]
    return [*adapters, Giver("lipar.enable", WAN_FACTS)]


def needing(host: PluginHost) -> Iterator[tuple[str, str, frozenset[str]]]:
    """Kind, name and needs of every part that needs something."""
    for kind in KINDS:
        for part in own_parts(host, kind):
            needs = needs_of(part.part, f"{kind} {part.name!r}") if kind != "adapter" else frozenset()
            if needs:
                yield kind, part.name, needs


def refused_pairs(host: PluginHost) -> Iterator[tuple[str, str, str, frozenset[str]]]:
    """Kind and name of a part, where it does not run, and what is lacking there."""
    for kind, name, needs in needing(host):
        for giver in givers(host):
            used = giver.name != "lipar.enable" or kind in FORWARD_KINDS
            if used and needs - giver.facts:
                yield kind, name, giver.name, needs - giver.facts


def refused_alone(host: PluginHost) -> Iterator[tuple[str, str]]:
    """Refiners that make no chain by themselves, and the reason."""
    for part in own_parts(host, "refiner"):
        try:
            check_chain([make_part(host, "refiner", PartConfig(part.name))])
        except ConfigError as error:
            yield part.name, str(error).removeprefix("refiners: ")


def table(*rows: tuple[str, ...]) -> str:
    """A Markdown table; the first row is its head."""
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "| --- " * len(rows[0]) + "|", *lines[1:]]) + "\n"


def tables(host: PluginHost) -> str:
    """What stands below the marker."""
    given = [
        (
            f"`{fact}`",
            text,
            ", ".join(f"`{giver.name}`" for giver in givers(host) if fact in giver.facts) or "none",
        )
        for fact, text in FACTS.items()
    ]
    needs = [(kind, f"`{name}`", spoken(facts)) for kind, name, facts in needing(host)]
    pairs = [
        (f"{kind} `{name}`", f"`{where}`", f"needs {spoken(lacking)}")
        for kind, name, where, lacking in refused_pairs(host)
    ]
    alone = [(f"`{name}`", reason) for name, reason in refused_alone(host)]
    return (
        f"{BEGIN}\n## Facts\n\n{table(('fact', 'is', 'given by'), *given)}"
        f"\n## What parts need\n\nParts that are not here need nothing.\n\n{table(('kind', 'part', 'needs'), *needs)}"
        f"\n## What is refused\n\n{table(('part', 'on', 'because it'), *pairs)}"
        f"\nA refiner that is the whole chain:\n\n{table(('refiner', 'because'), *alone)}"
    )


if __name__ == "__main__":
    prose = PAGE.read_text("utf-8").partition(BEGIN)[0]
    PAGE.write_text(prose + tables(load_plugins()), "utf-8")
