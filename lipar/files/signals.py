"""Signals that end a run as exceptions do, at a moment when nothing is left half done."""

import functools
import signal
import sys
import threading
from collections.abc import Callable
from types import FrameType, TracebackType
from typing import Any, ParamSpec, TypeVar

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")
_LATE: list[int] = []
"""Signals that came in an undisturbed function. Signals are of the process, and so is this list."""


class EndedBySignal(BaseException):
    """SIGTERM or SIGHUP came. Not SystemExit, which those may catch that run other people's code, such as plugins."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.number = number


class SignalExit(SystemExit):
    """The program ends by a signal, with the code that the system gives such a program: 128 + the signal's number."""

    def __init__(self, number: int) -> None:
        super().__init__(128 + number)
        self.number = number


def undisturbed(function: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """A function that signals do not interrupt while `Answered` answers them; one that came is raised at its end."""

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
    """The exception of the signal that waits."""
    ending = _ending(_LATE[0])
    _LATE.clear()
    return ending


def is_late() -> bool:
    """Whether a signal waits."""
    return bool(_LATE)


def _is_undisturbed(frame: FrameType | None) -> bool:
    # A flag that the function sets would come too late: Python may answer a signal before the function's first line.
    # Its frame is on the stack from the very beginning.
    # By name: decorators that are put around all functions, as type checkers do, share one code object.
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


class Answered:
    """From `begin` to `end`, SIGINT raises KeyboardInterrupt, and SIGTERM and SIGHUP raise EndedBySignal.

    Inside `with` as well; the outermost one is left by `SignalExit` then.

    Signals that somebody else answers stay theirs, and outside the main thread, which alone may answer signals,
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
        """Answer from now on."""
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
        """Leave signals as they were; gives whether any had been answered here."""
        answered = bool(self._before)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
        return answered
