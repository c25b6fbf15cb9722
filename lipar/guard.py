"""A plugin that fails while a video is edited: one that decides stops the run, one that only looks on is dropped."""

import functools
from collections.abc import Callable, Generator
from typing import Any

DECIDING = frozenset({"lipar_prune", "lipar_forward", "lipar_restore"})
"""Hooks whose answer is used."""
TOLD = frozenset({"lipar_edit_begun", "lipar_block_written", "lipar_edit_ended"})
"""Hooks that give no answer. Together with wrappers of the stages, these are for looking on."""

Failed = Callable[[Exception], None]
"""Told what a plugin raised; raises it again where the run must stop."""


def guarded(function: Callable[..., Any], failed: Failed) -> Callable[..., Any]:
    """A hook implementation whose errors are told to `failed`."""

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        try:
            return function(*args)
        except Exception as error:
            failed(error)

    return call


def guarded_wrapper(function: Callable[..., Any], failed: Failed) -> Callable[..., Any]:
    """A wrapper whose errors are told to `failed`, and that cannot change what it wraps.

    The answer beneath it goes up as it came, whether the wrapper returns it, forgets to, or fails. To answer otherwise
    counts as failing, since it would otherwise go unnoticed that it has no effect.
    """

    @functools.wraps(function)
    def wrap(*args: Any) -> Generator[None, Any, Any]:
        try:
            watcher = function(*args)
            next(watcher)
        except StopIteration:
            failed(RuntimeError("a wrapper must yield once; it returned before"))
            return (yield)
        except Exception as error:
            failed(error)
            return (yield)
        try:
            answer = yield
        except BaseException as error:
            _resume(lambda: watcher.throw(error), error, failed)
            raise
        _resume(lambda: watcher.send(answer), answer, failed)
        return answer

    return wrap


def _resume(resume: Callable[[], Any], came: Any, failed: Failed) -> None:
    """Let a watcher see what came of the stage, its answer or its error."""
    try:
        resume()
    except StopIteration as end:
        if end.value is not None and end.value is not came:
            failed(
                TypeError("a wrapper looks on and cannot change the answer; implement the hook without it")
            )
    except BaseException as error:
        if error is came:
            return
        if not isinstance(error, Exception):
            raise
        failed(error)
    else:
        failed(RuntimeError("a wrapper must yield once; it yielded twice"))
