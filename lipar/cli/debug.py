"""`--debug`: whether an error keeps its traceback. The group needs this before anything else is imported."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import click

Function = TypeVar("Function", bound=Callable[..., Any])


class RunState:
    """What is the same for the whole run of a command; the object of the root context."""

    def __init__(self) -> None:
        self.debug = False
        self._begun = time.perf_counter()

    def seconds(self) -> float:
        """Seconds since the command began, before anything heavy was imported."""
        return time.perf_counter() - self._begun


def _note(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(RunState).debug = True


def debug_option(function: Function) -> Function:
    """`--debug`; handled by the command line itself, so the command receives no argument."""
    return click.option(
        "--debug", is_flag=True, is_eager=True, expose_value=False, callback=_note, help="Show tracebacks."
    )(function)
