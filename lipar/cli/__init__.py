"""The command line. Commands are imported when they are called: `lipar bench` needs no video library."""

import sys
import warnings
from importlib import import_module
from typing import Any

import click

from lipar.guard import Terminated, reason

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
    click.secho(f"warning: {message}", fg="yellow", err=True)


def main() -> None:
    """Run the command line; errors are one line, unless --debug asks for the traceback."""
    warnings.showwarning = _show_warning
    debug = "--debug" in sys.argv
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        sys.exit(exit_.exit_code)
    except (click.Abort, KeyboardInterrupt):
        click.secho("interrupted; no video was left behind", fg="red", err=True)
        sys.exit(130)
    except Terminated:
        raise
    except SystemExit as error:  # commands end by returning, so it is a stranger's: a model's or a library's
        click.secho(
            f"error: code that lipar called tried to end the program ({reason(error)})", fg="red", err=True
        )
        sys.exit(1)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:  # the border to the user: every error becomes a line
        if debug:
            raise
        click.secho(f"error: {_say(error)}", fg="red", err=True)
        sys.exit(1)


def _say(error: Exception) -> str:
    text = str(error.args[0]) if isinstance(error, LookupError) and error.args else str(error)
    expected = isinstance(error, ValueError | LookupError | OSError | ArithmeticError | RuntimeError)
    if not (expected and text):
        text = f"{type(error).__name__}: {text or 'no message'} (unexpected; run again with --debug to see where)"
    return "; ".join([text, *getattr(error, "__notes__", ())])
