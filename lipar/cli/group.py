"""The group of all commands, and what is printed when one ends early."""

import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from lipar.cli.debug import RunState, debug_option
from lipar.cli.loading import importing
from lipar.cli.output import clear_line, complain, show_usage_error
from lipar.cli.table import command_table, own_commands, third_party_plugins
from lipar.files.signals import EndedBySignal, SignalExit
from lipar.messages import one_line
from lipar.plugin.commands import Command
from lipar.plugin.guard import reason

_INTERRUPTED = 130


class ReaderGone(Exception):
    """The process that read the output of a command ended, for instance `head`."""


class LazyGroup(click.Group):
    """A group that knows its commands by name and imports a command when it is needed."""

    # click turns a broken pipe into a bare SystemExit, which looks like one that a plugin raised

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Parse the options of the group; prints the help."""
        try:
            return super().make_context(*args, **extra)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command that was typed."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError as error:
            raise ReaderGone from error

    def _main_shell_completion(self, *args: Any, **extra: Any) -> None:
        try:
            super()._main_shell_completion(*args, **extra)
        except SystemExit as ended:  # click's own answer to the shell; any other SystemExit is an error here
            raise click.exceptions.Exit(int(ended.code or 0)) from None

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands, lipar's own first."""
        return [command.name for command in command_table(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None: no plugin offers one of this name."""
        # its own commands work, and without delay, whatever is wrong with a plugin
        found = own_commands().get(cmd_name) or command_table(ctx).get(cmd_name)
        if found is None and third_party_plugins(ctx):
            found = _command_of_loaded_plugins(ctx, cmd_name)
        return found.load() if found else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the help that each was registered with; imports none of them."""
        with formatter.section("Commands"):
            formatter.write_dl([(command.name, command.help) for command in command_table(ctx)])


def _command_of_loaded_plugins(ctx: click.Context, name: str) -> Command | None:
    """A command that a plugin of the group `lipar` offers, which needs torch."""
    with importing():
        from lipar.cli.host import add_commands, plugin_host

        table = command_table(ctx)
        add_commands(plugin_host(), table)
    return table.get(name)


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="lipar")
@click.option(
    "--no-plugins",
    is_flag=True,
    is_eager=True,  # before --help, which lists the commands of plugins
    help="Leave out every installed plugin that is not lipar's own.",
)
@debug_option
def cli(no_plugins: bool) -> None:
    """Edit and generate video faster: compute only the latent tokens that changed."""


def run() -> int:
    """Run the command line of this process; gives its exit code."""
    state = RunState()
    warnings.showwarning = _show_warning
    sys.unraisablehook = _interrupt_again
    try:
        # a command that ends with an exit code of its own: click returns that here
        own_code = cli(standalone_mode=False, obj=state)
    except click.exceptions.Exit as exit_:
        return exit_.exit_code
    except ReaderGone:
        # what is still to be flushed has no reader either
        sys.stdout = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 (open until the end)
        return 1
    except SignalExit as ended:
        notes = getattr(ended, "__notes__", ())
        complain("; ".join([f"ended ({signal.Signals(ended.number).name})", *notes]), fg="red")
        return 128 + ended.number
    except SystemExit as ended:
        # commands end by returning, so other code, a model's or a library's, tried to end the program
        complain(f"error: code that lipar called tried to end the program ({reason(ended)})", fg="red")
        return 1
    except EndedBySignal as ended:  # before any output file was open
        return 128 + ended.number
    except click.ClickException as error:
        show_usage_error(error)
        return error.exit_code
    except (Exception, KeyboardInterrupt) as error:  # every other error becomes one line
        return _ended_early(error, debug=state.debug)
    return own_code if isinstance(own_code, int) else 0


def _ended_early(error: BaseException, *, debug: bool) -> int:
    interrupt = next((one for one in _chain(error) if isinstance(one, KeyboardInterrupt)), None)
    if interrupt is not None or isinstance(error, click.Abort):
        text, code = "; ".join(["interrupted", *getattr(interrupt, "__notes__", ())]), _INTERRUPTED
    elif debug:
        raise error
    else:
        text, code = f"error: {one_line(error)}", 1
    complain(text, fg="red")
    return code


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and its causes: an import that Ctrl-C interrupts does not always raise KeyboardInterrupt."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _show_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    clear_line()  # a progress bar may be on it
    complain(f"warning: {message}", fg="yellow")


def _interrupt_again(unraisable: Any) -> None:
    """Raise a Ctrl-C again that came where Python can only report it, such as in the callback of a weak reference."""
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        # a little later, since an exception that is raised here could only be reported, too
        main = threading.main_thread().ident
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)
