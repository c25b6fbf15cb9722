"""Signals that end a run as exceptions do, at a moment when nothing is left half done."""

import functools
import signal
import sys
import threading
from collections.abc import Callable
from types import CodeType, FrameType
from typing import Any, ParamSpec, TypeVar

_Args = ParamSpec("_Args")
_Result = TypeVar("_Result")
_UNDISTURBED: set[CodeType] = set()
_LATE: list[int] = []
"""Signals that came in an undisturbed function. Signals are of the process, and so is this list."""


def undisturbed(function: Callable[_Args, _Result]) -> Callable[_Args, _Result]:
    """A function that signals do not interrupt while `Answered` answers them; one that came is raised at its end."""

    @functools.wraps(function)
    def whole(*args: _Args.args, **kwargs: _Args.kwargs) -> _Result:
        try:
            result = function(*args, **kwargs)
        except BaseException:
            _LATE.clear()  # the run ends anyway
            raise
        if _LATE and not _is_undisturbed(sys._getframe(1)):
            raise take_late()
        return result

    _UNDISTURBED.add(whole.__code__)  # type: ignore[attr-defined]  # a function, which mypy takes for its wrapper
    return whole


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
    while frame is not None:
        if frame.f_code in _UNDISTURBED:
            return True
        frame = frame.f_back
    return False


def _answer(number: int, frame: FrameType | None) -> None:
    if _is_undisturbed(frame):
        _LATE.append(number)
    else:
        raise _ending(number)


def _ending(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


class Answered:
    """From `begin` to `end`, SIGINT raises KeyboardInterrupt, and SIGTERM and SIGHUP raise SystemExit (128 + signal).

    Signals that somebody else answers stay theirs, and outside the main thread, which alone may answer signals,
    nothing changes.
    """

    def __init__(self) -> None:
        self._before: dict[int, Any] = {}

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

    def end(self) -> None:
        """Leave signals as they were."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()
