"""`lipar doctor`: whether lipar can run on this machine, and how."""

import json
import warnings

import click

from lipar.cli.loading import importing
from lipar.cli.options import debug_option
from lipar.cli.output import say
from lipar.cli.table import command_table

_COLOURS = {"warning": "yellow", "broken": "red"}


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
@debug_option
@click.pass_context
def doctor(ctx: click.Context, as_json: bool) -> None:
    """Say whether lipar can run here, and how: versions, devices, memory, plugins, models, encoders, known traps.

    Nothing is loaded, fetched or written. The exit code is 1 where something is broken that `lipar edit` needs.
    """
    from lipar.doctor.report import as_dict, can_run, examine, lines

    def load_host() -> object:
        from lipar.cli.host import plugin_host

        return plugin_host()

    # what they would warn of is among the findings
    with importing(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sections = examine(load_host, command_table(ctx).plugins)
    if as_json:
        say(*json.dumps(as_dict(sections), indent=1).splitlines())
    else:
        for line, state in lines(sections):
            say(line, bold=state is None or None, fg=_COLOURS.get(state or ""))
    if not can_run(sections):
        raise click.exceptions.Exit(1)
