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


def guarded_wrapper(
    function: Callable[..., Any], failed: Failed, decided: Callable[[], None]
) -> Callable[..., Any]:
    """A wrapper whose errors are told to `failed`, and which tells `decided` when it changes an answer.

    Where it fails and `failed` lets that pass, the answer beneath it goes up as it came; so it does where the wrapper
    gives nothing back. An error of the stage goes on, whatever the wrapper makes of it.
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
        given = _resume(lambda: watcher.send(answer), None, failed)
        if given is None or given is answer:
            return answer
        decided()
        return given

    return wrap


def _resume(resume: Callable[[], Any], raised: BaseException | None, failed: Failed) -> Any:
    """Let a wrapper see what came of the stage; gives what it makes of an answer, None where it fails."""
    try:
        resume()
    except StopIteration as end:
        return end.value
    except BaseException as error:
        if error is raised:
            return None
        if not isinstance(error, Exception):
            raise
        failed(error)
    else:
        failed(RuntimeError("a wrapper must yield once; it yielded twice"))
    return None
