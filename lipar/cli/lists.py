"""`lipar strategies`, `lipar plugins`, `lipar models`: what there is."""

import json
from collections.abc import Iterator
from typing import Any

import attrs
import click

from lipar.cli.loading import importing
from lipar.cli.output import say
from lipar.plugin.guard import reason, running
from lipar.plugin.registry import KINDS, Registered


def _option(field: "attrs.Attribute[Any]") -> str:
    name = field.alias or field.name
    type_name = getattr(field.type, "__name__", None) if isinstance(field.type, type) else str(field.type)
    if field.default is attrs.NOTHING:
        return f"{name}: {type_name} (required)"
    default = "..." if isinstance(field.default, attrs.Factory) else repr(field.default)  # type: ignore[arg-type]
    return f"{name}: {type_name} = {default}"


def _installed() -> Any:
    """The host of all plugins, which needs torch."""
    with importing():
        from lipar.cli.host import plugin_host

        return plugin_host()


def _describe(part: Registered) -> None:
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
def strategies(kind: str | None) -> None:
    """List every registered part with its options and owner."""
    host = _installed()
    for name in KINDS if kind is None else [kind]:
        say(KINDS[name].replace("_", " "), bold=True)
        for part in host.registries[name]:
            _describe(part)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def plugins(as_json: bool) -> None:
    """List the plugins: version, what they offer, the hooks they answer to, and why one was left out."""
    host = _installed()
    if as_json:
        found = [
            attrs.asdict(plugin) | {"parts": host.parts_of(plugin), "hooks": host.hooks_of(plugin)}
            for plugin in host.plugins
        ]
        say(*json.dumps(found, indent=1).splitlines())
        return
    for plugin in host.plugins:
        say(
            f"{plugin.name:<20} {plugin!s:<20} {_state(plugin.error, plugin.disabled)}",
            fg="red" if plugin.error else None,
        )
        for kind, names in host.parts_of(plugin).items():
            say(f"{'':<20} {KINDS[kind].replace('_', ' ')}: {', '.join(names)}")
        if hooks := host.hooks_of(plugin):
            say(f"{'':<20} hooks: {', '.join(hooks)}")


def _state(error: str | None, disabled: bool) -> str:
    if error:
        return f"failed: {error}"
    return "disabled" if disabled else "loaded"


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List the models that `--model` takes."""
    if ctx.invoked_subcommand is None:
        for part in _installed().registries["adapter"]:
            _describe(part)


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """Say what a model needs and what it knows."""
    part = _installed().registries["adapter"][name]
    _describe(part)
    say(*part.part.about().splitlines())
