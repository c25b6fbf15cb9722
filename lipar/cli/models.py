"""`lipar models`: the catalogue, what of it is on this machine, and fetching the rest."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from lipar.cli.lists import describe_part, installed_plugins
from lipar.cli.options import debug_option, model_dir_option, quiet_option
from lipar.cli.output import say

if TYPE_CHECKING:
    from lipar.catalogue.entry import Entry
    from lipar.catalogue.places import Found
    from lipar.plugin.host import PluginHost


@click.group(invoke_without_command=True)
@model_dir_option
@debug_option
@click.pass_context
def models(ctx: click.Context, model_dir: Path | None) -> None:
    """List the models that `--model` takes: what is on this machine, size and licence."""
    if ctx.invoked_subcommand is None:
        _list(installed_plugins(), model_dir)


def _list(host: "PluginHost", model_dir: Path | None) -> None:
    from lipar.catalogue.entry import sizes_of
    from lipar.catalogue.places import look_for
    from lipar.plugin.catalogued import catalogue_of

    entries = catalogue_of(host)
    say(f"{'model':<26}{'here':<10}{'size':<19}{'licence':<12}what", bold=True)
    for entry in entries.values():
        state = _state([look_for(part, model_dir) for part in entry.parts])
        licence = entry.licence.partition(" (")[0]
        row = f"{entry.name:<26}{state:<10}{sizes_of(entry.files):<19}{licence:<12}{entry.title}"
        say(row if entry.adapter else f"{row}; no adapter runs it")
    say("", "adapters, which --model takes as well, each with options:", bold=True)
    for part in host.registries["adapter"]:
        say(f"{part.name:<26}{part.summary}  [{part.owner}]")
    say("", "`lipar models show NAME` says what one of these needs, `lipar models fetch NAME` fetches it.")


def _state(found: "Sequence[Found]") -> str:
    states = {each.state for each in found}
    return states.pop() if len(states) == 1 else "partial"


@models.command()
@click.argument("name")
@model_dir_option
@debug_option
def show(name: str, model_dir: Path | None) -> None:
    """Say what a model needs, and what is known about it."""
    from lipar.plugin.catalogued import catalogue_of, entry_of

    host = installed_plugins()
    adapters = host.registries["adapter"]
    if name in adapters:
        part = adapters[name]
        describe_part(part)
        say(*part.part.about().splitlines())
    if name in adapters and not any(
        name in (each.name, each.adapter) for each in catalogue_of(host).values()
    ):
        return
    _show(entry_of(host, name), model_dir)


def _show(entry: "Entry", model_dir: Path | None) -> None:
    from lipar.catalogue.entry import sizes_of
    from lipar.catalogue.places import look_for

    say(entry.name, bold=True)
    options = ", ".join(f"{key} = {value!r}" for key, value in entry.options.items())
    rows = {
        "what": entry.title,
        "adapter": f"{entry.adapter or 'none'}{f' with {options}' if options else ''}",
        "licence": entry.licence,
        "memory": entry.memory,
        "size": sizes_of(entry.files),
        "note": entry.note,
        "read in": "; ".join(entry.sources),
    }
    say(*(f"  {title:<10}{text}" for title, text in rows.items() if text))
    for part in entry.parts:
        found = look_for(part, model_dir)
        where = f" in {found.folder}" if found.folder else ""
        say("", f"  {part.option}: {part.repository}, revision {part.revision}: {found.state}{where}")
        for file in part.files:
            state = "missing" if file in found.missing else "here"
            if file in found.of_another_size:
                state = "here, of another size"
            say(f"    {file!s:>9}  {file.path}  ({state})")
    say("", f"  lipar models fetch {entry.name}")


@models.command()
@click.argument("name")
@model_dir_option
@click.option(
    "--revision",
    metavar="REVISION",
    help="Commit or branch of its first repository.  [default: the catalogue's]",
)
@quiet_option
@debug_option
def fetch(name: str, model_dir: Path | None, revision: str | None, quiet: bool) -> None:
    """Fetch the files of a model from the hub that are not on this machine.

    They are put into --model-dir, else into the folder that LIPAR_MODELS names, else into the cache of the hub's own
    client. After an interrupted fetch the files that were complete are not fetched again. Without a network the command
    says which files to put where by hand.
    """
    from lipar.catalogue.fetching import HubUnreachableError
    from lipar.catalogue.fetching import fetch as fetch_entry
    from lipar.catalogue.missing import by_hand
    from lipar.catalogue.places import look_for, models_folder
    from lipar.plugin.catalogued import entry_of

    entry = entry_of(installed_plugins(), name)
    folder = models_folder(model_dir)
    try:
        fetch_entry(entry, folder, revision=revision, quiet=quiet, say=say)
    except HubUnreachableError as error:
        found = [look_for(part, model_dir) for part in entry.parts]
        if all(not each.missing for each in found) and revision is None:
            say(f"the hub was not reached ({error}), but {entry.name} is here")
            return
        say(*by_hand(entry, found, folder))
        raise HubUnreachableError(f"the hub was not reached: {error}") from error
    where = "" if model_dir is None else f" --model-dir {model_dir}"
    say(f"{entry.name} is here" + (f"; --model {entry.name}{where} reads it" if entry.adapter else ""))
