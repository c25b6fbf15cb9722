"""`lipar strategies`, `lipar plugins`, `lipar models`: what there is."""

from typing import Any

import attrs
import click

from lipar.compatibility import Giver, needs_of, spoken
from lipar.plugins import load_plugins
from lipar.registry import KINDS, Registered


def _option(field: "attrs.Attribute[Any]") -> str:
    name = field.alias or field.name
    type_name = getattr(field.type, "__name__", None) if isinstance(field.type, type) else str(field.type)
    if field.default is attrs.NOTHING:
        return f"{name}: {type_name} (required)"
    default = "..." if isinstance(field.default, attrs.Factory) else repr(field.default)  # type: ignore[arg-type]
    return f"{name}: {type_name} = {default}"


def _describe(part: Registered) -> None:
    click.echo(f"  {part.name:<20} {part.summary}  [{part.owner}]")
    for field in part.options:
        click.echo(f"  {'':<20}   {_option(field)}")
    name = f"{part.kind} {part.name!r}"
    if part.kind == "adapter":
        click.echo(f"  {'':<20}   gives {spoken(Giver.of(part.part, name).facts)}")
    elif needs := needs_of(part.part, name):
        click.echo(f"  {'':<20}   needs {spoken(needs)}")


@click.command()
@click.argument("kind", required=False, type=click.Choice(list(KINDS)))
def strategies(kind: str | None) -> None:
    """List every registered part with its options and owner."""
    host = load_plugins()
    for name in KINDS if kind is None else [kind]:
        click.secho(KINDS[name].replace("_", " "), bold=True)
        for part in host.registries[name]:
            _describe(part)


@click.command()
def plugins() -> None:
    """List the plugins, what they offer, and those that failed."""
    host = load_plugins()
    for plugin in host.plugins:
        state = click.style(f"failed: {plugin.error}", fg="red") if plugin.error else "loaded"
        click.echo(f"{plugin.name:<20} {plugin!s:<20} {state}")
        if plugin.error is None and plugin.name != "stages":
            everything = [part for registry in host.registries.values() for part in registry]
            offered = [part.name for part in everything if part.plugin == plugin.name]
            click.echo(f"{'':<20} {', '.join(offered) or 'no parts'}")


@click.group(invoke_without_command=True)
@click.pass_context
def models(ctx: click.Context) -> None:
    """List the models that `--model` takes."""
    if ctx.invoked_subcommand is None:
        for part in load_plugins().registries["adapter"]:
            _describe(part)


@models.command()
@click.argument("name")
def show(name: str) -> None:
    """Say what a model needs and what it knows."""
    part = load_plugins().registries["adapter"][name]
    _describe(part)
    about = getattr(part.part, "about", None)
    if about is not None:
        click.echo(about())
