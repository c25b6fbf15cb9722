"""A line on the terminal while something is being loaded."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import click


@contextmanager
def loading(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Say what is being loaded as long as this lasts, where standard error is a terminal."""
    shown = not quiet and sys.stderr.isatty()
    if shown:
        click.echo(f"loading {what} ...", nl=False, err=True)
    try:
        yield
    finally:
        if shown:
            click.echo("\r\033[K", nl=False, err=True)
