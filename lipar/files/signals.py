"""Signals that end a run as exceptions do, never in the middle of an operation on files."""

import functools
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")
_LATE: list[int] = []
"""Signals that arrived in an undisturbed function; one list for the process, as signals are."""


class EndedBySignal(BaseException):
    """SIGTERM or SIGHUP arrived. Not SystemExit, which code that calls plugins may catch."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


class SignalExit(SystemExit):
    """The program ends by a signal, with the usual exit code: 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def undisturbed(function: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """A function that signals do not interrupt while `Answered` handles them; they are raised when it returns."""

    @functools.wraps(function)
    def undisturbed_call(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        try:
            result = function(*args, **kwargs)
        except BaseException:
            _LATE.clear()  # the run ends anyway
            raise
        if _LATE and not _is_undisturbed(sys._getframe(1)):
            raise take_late()
        return result

    return undisturbed_call


def take_late() -> BaseException:
    """Remove the delayed signal and give its exception."""
    ending = _ending(_LATE[0])
    _LATE.clear()
    return ending


def is_late() -> bool:
    """Whether a signal is delayed."""
    return bool(_LATE)


def _is_undisturbed(frame: FrameType | None) -> bool:
    # A flag set by the function would be set too late: Python may handle a signal before the function's first line. Its
    # frame is on the stack from the start.
    # Compared by name: decorators put around all functions, as by type checkers, share one code object.
    while frame is not None:
        if frame.f_code.co_name == "undisturbed_call" and frame.f_code.co_filename == __file__:
            return True
        frame = frame.f_back
    return False


def _answer(number: int, frame: FrameType | None) -> None:
    if _is_undisturbed(frame):
        _LATE.append(number)
    else:
        raise _ending(number)


def _ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else EndedBySignal(number)


@contextmanager
def called_by_interrupt(function: Callable[[], None]) -> Iterator[None]:
    """Within it, the first Ctrl-C calls a function in place of raising KeyboardInterrupt; the next one raises it.

    Outside the main thread, and where Ctrl-C is ignored, nothing changes.

    Args:
        function: returns at once, and may be called at any moment.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield
        return

    def call_once(number: int, frame: FrameType | None) -> None:
        signal.signal(number, before)
        function()

    signal.signal(signal.SIGINT, call_once)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Answered:
    """From `begin` to `end`, SIGINT raises KeyboardInterrupt, and SIGTERM and SIGHUP raise EndedBySignal.

    As a context manager it covers its block; the outermost one is left by `SignalExit`.

    Signals that already have another handler keep it. Outside the main thread, the only one that may handle signals,
    nothing changes.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Answered":
        self.begin()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.end() and isinstance(error, EndedBySignal):
            raise SignalExit(error.number) from None

    def begin(self) -> None:
        """Handle signals from now on."""
        if threading.current_thread() is not threading.main_thread():
            return
        usual: dict[int, Any] = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}
        if hasattr(signal, "SIGHUP"):  # Windows has none
            usual[signal.SIGHUP] = signal.SIG_DFL
        for number, handler in usual.items():
            if signal.getsignal(number) is handler:
                self._before[number] = handler
                signal.signal(number, _answer)

    def end(self) -> bool:
        """Restore the handlers; gives whether any signal was handled here."""
        answered = bool(self._before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        return answered
