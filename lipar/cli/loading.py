"""While a command loads: a line on the terminal, and an immediate end when it is interrupted."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from lipar.cli.output import CLEAR, clear_line, show_for_now


@contextmanager
def loading(what: str, *, quiet: bool = False) -> Iterator[None]:
    """Show what is being loaded, on standard error, until the context ends; nothing where that is no terminal.

    Args:
        what: is loaded.
        quiet: show nothing.
    """
    if not quiet:
        show_for_now(f"loading {what} ...")
    try:
        yield
    finally:
        if not quiet:
            clear_line()


@contextmanager
def importing(*, quiet: bool = False) -> Iterator[None]:
    """`loading`, for imports: Ctrl-C ends the process immediately, since nothing is open yet.

    As an exception it would sometimes be lost: C code that imports Python modules may drop it and continue.

    Args:
        quiet: show nothing.
    """
    main = threading.current_thread() is threading.main_thread()
    ours = main and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, _leave)
    try:
        with loading("lipar", quiet=quiet):
            yield
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    clear = CLEAR if sys.stderr.isatty() else ""
    os.write(2, f"{clear}interrupted\n".encode())
    os._exit(128 + number)
