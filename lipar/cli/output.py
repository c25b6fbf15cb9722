"""What the commands print: everything goes through `say` and `complain`, which escape names and messages of others."""

import sys
from typing import Any

import click

from lipar.messages import escaped


def say(*lines: str, **style: Any) -> None:
    """Print lines on standard output; a line break within one of them is escaped, as are control characters.

    Args:
        lines: without their line breaks.
        style: keywords of `click.style`, for instance `fg="red"`.
    """
    _print(lines, err=False, **style)


def complain(*lines: str, **style: Any) -> None:
    """Print lines on standard error, as `say` does.

    Args:
        lines: without their line breaks.
        style: keywords of `click.style`.
    """
    _print(lines, err=True, **style)


CLEAR = "\r\033[K"
"""Returns to the start of the terminal's current line and clears it."""


def show_for_now(text: str) -> None:
    """Show a line on standard error until `clear_line`; nothing where that is no terminal."""
    if sys.stderr.isatty():
        click.echo(escaped(text), nl=False, err=True)


def clear_line() -> None:
    """Clear the current line of standard error; nothing where that is no terminal."""
    if sys.stderr.isatty():
        click.echo(CLEAR, nl=False, err=True)


def _print(lines: tuple[str, ...], *, err: bool, **style: Any) -> None:
    encoding = getattr(sys.stderr if err else sys.stdout, "encoding", None) or "utf-8"
    for line in lines:
        # a terminal may not know all characters of a name
        known = escaped(line).encode(encoding, "backslashreplace").decode(encoding)
        click.secho(known, err=err, **style)


def show_usage_error(error: click.ClickException) -> None:
    """Print what click reports about a wrong command line; its text repeats what was typed, so it is escaped."""
    if isinstance(error, click.exceptions.NoArgsIsHelpError):  # its message is the help
        error.show()
        return
    context = getattr(error, "ctx", None)
    if context is not None:
        complain(*context.get_usage().splitlines(), f"Try '{context.command_path} --help' for help.", "")
    complain(f"Error: {error.format_message()}")
