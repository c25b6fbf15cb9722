"""The group of all commands, and what is said when one ends early."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import click

from lipar.cli.output import clear_line, complain, one_line, show_usage_error
from lipar.files.signals import EndedBySignal, SignalExit
from lipar.plugin.guard import reason

_COMMANDS = {
    "edit": ("lipar.cli.edit", "edit"),
    "ttm": ("lipar_adapters.time_to_move.command", "ttm"),
    "compare": ("lipar_lab.compare.command", "compare"),
    "certify": ("lipar_lab.certify.command", "certify"),
    "ablate": ("lipar_lab.ablation.command", "ablate"),
    "strategies": ("lipar.cli.lists", "strategies"),
    "plugins": ("lipar.cli.lists", "plugins"),
    "models": ("lipar.cli.lists", "models"),
    "check": ("lipar.cli.check", "check"),
    "new-plugin": ("lipar.cli.new_plugin", "new_plugin"),
    "bench": ("lipar_lab.bench.command", "bench"),
}
_INTERRUPTED = 130


class ReaderGone(Exception):
    """Who read the output of a command closed it, for instance `head`."""


class LazyGroup(click.Group):
    """Knows its commands by name and imports one when it is needed."""

    # click makes a bare SystemExit of a broken pipe, which could not be told from one of a plugin

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        try:
            return super().make_context(*args, **extra)  # prints the help
        except BrokenPipeError as error:
            raise ReaderGone from error

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

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


def run() -> int:
    """Run the command line of this process; gives its exit code."""
    warnings.showwarning = _show_warning
    sys.unraisablehook = _interrupt_again
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except ReaderGone:
        # what is left to flush has no reader either
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open until the end)
        return 1
    except SignalExit as ended:
        notes = getattr(ended, "__notes__", ())
        complain("; ".join([f"ended ({signal.Signals(ended.number).name})", *notes]), fg="red")
        return 128 + ended.number
    except SystemExit as ended:
        # commands end by returning, so some other code wanted to end the program: a model's or a library's
        complain(f"error: code that lipar called tried to end the program ({reason(ended)})", fg="red")
        return 1
    except EndedBySignal as ended:  # before there was anything to own
        return 128 + ended.number
    except click.ClickException as error:
        show_usage_error(error)
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:  # the border to the user: every error becomes a line
        return _ended_early(error)
    return 0


def _ended_early(error: BaseException) -> int:
    interrupt = next((one for one in _chain(error) if isinstance(one, KeyboardInterrupt)), None)
    if interrupt is not None or isinstance(error, click.Abort):
        text, code = "; ".join(["interrupted", *getattr(interrupt, "__notes__", ())]), _INTERRUPTED
    elif "--debug" in sys.argv:
        raise error
    else:
        text, code = f"error: {one_line(error)}", 1
    complain(text, fg="red")
    return code


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it came of: what an import makes of Ctrl-C is not always KeyboardInterrupt."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    clear_line()  # it may hold a bar
    complain(f"warning: {message}", fg="yellow")


def _interrupt_again(unraisable: Any) -> None:
    """Raise a Ctrl-C again that came where Python can only report it, such as in the callback of a weak reference."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        # a little later, since here, too, it could only be reported
        main = threading.main_thread().ident
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)
