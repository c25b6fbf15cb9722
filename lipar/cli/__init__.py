"""The command line. Commands are imported when they are called: `lipar bench` needs no video library."""

import sys
import warnings
from importlib import import_module
from typing import Any

import click

from lipar.cli.output import complain, one_line, show_usage_error

_COMMANDS = {
    "edit": ("lipar.cli.edit", "edit"),
    "ttm": ("lipar.cli.ttm", "ttm"),
    "compare": ("lipar.cli.compare", "compare"),
    "certify": ("lipar.cli.certify", "certify"),
    "ablate": ("lipar.cli.ablate", "ablate"),
    "strategies": ("lipar.cli.lists", "strategies"),
    "plugins": ("lipar.cli.lists", "plugins"),
    "models": ("lipar.cli.lists", "models"),
    "check": ("lipar.cli.check", "check"),
    "new-plugin": ("lipar.cli.new_plugin", "new_plugin"),
    "bench": ("lipar.bench.command", "bench"),
}


class LazyGroup(click.Group):
    """Knows its commands by name and imports one when it is needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, name = _COMMANDS[cmd_name]
        command: click.Command = getattr(import_module(module), name)
        return command


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lipar")
@click.option("--no-plugins", is_flag=True, help="Leave out every installed plugin that is not lipar's own.")
def cli(no_plugins: bool) -> None:
    """Edit and generate video faster: compute only the latent tokens that changed."""


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    complain(f"warning: {message}", fg="yellow")


def main() -> None:
    """Run the command line; errors are one line, unless --debug asks for the traceback."""
    warnings.showwarning = _show_warning
    debug = "--debug" in sys.argv
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except (click.Abort, KeyboardInterrupt):
        complain("interrupted; no video was left behind", fg="red")
        sys.exit(130)
    except click.ClickException as error:
        show_usage_error(error)
        sys.exit(error.exit_code)
    except Exception as error:  # the border to the user: every error becomes a line
        if debug:
            raise
        complain(f"error: {one_line(error)}", fg="red")
        sys.exit(1)
