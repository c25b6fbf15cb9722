"""Plugins that fail: the error names the plugin; if its hook decides, the run stops, else the plugin is removed."""

import functools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lipar.files.signals import EndedBySignal

DECIDING = frozenset({"lipar_prune", "lipar_forward", "lipar_restore"})
"""Hooks whose result is used."""
OBSERVING = frozenset({"lipar_edit_begun", "lipar_block_written", "lipar_edit_ended"})
"""Hooks whose result is ignored; these and wrappers of the stages are for observing."""

Failed = Callable[[BaseException], None]
"""Called with what a plugin raised; raises it again if the run must stop."""
Checked = Callable[[Mapping[str, Any], Any, Any], None]
"""Called with a hook's arguments, the result that it wrapped (else None) and its own; raises if that cannot be used."""


def stops(error: BaseException) -> bool:
    """Whether this is Ctrl-C or SIGTERM, by which the user or the system ends the program."""
    return type(error) is KeyboardInterrupt or isinstance(error, EndedBySignal)


def reason(error: BaseException) -> str:
    """What was raised, in one line; the exception of a plugin may fail even to give its message."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}"


def caught(error: BaseException, who: str) -> Exception:
    """What a plugin raised, as an error that the run can end with: it names the plugin and gives no exit code.

    Args:
        error: what was raised.
        who: the plugin and its part or hook, for the message.

    Raises:
        BaseException: the error itself, if it is Ctrl-C or SIGTERM.
    """
    if isinstance(error, Exception):
        error.add_note(f"raised in {who}")
        return error
    if stops(error):
        raise error
    ended = RuntimeError(
        f"{who} tried to end the program ({reason(error)}); a plugin must raise an Exception instead, "
        "such as ValueError, whose message is then printed"
    )
    ended.__cause__ = error
    return ended


@contextmanager
def running(who: str | None) -> Iterator[None]:
    """Context in which code of a plugin runs: its errors get a note that names `who`; None: no note."""
    try:
        yield
    except Exception as error:
        if who is not None:
            error.add_note(f"raised in {who}")
        raise
    except BaseException as error:
        raise caught(error, who or "lipar") from error


def guarded(
    function: Callable[..., Any], own: Sequence[str], given: Sequence[str], failed: Failed, checked: Checked
) -> Callable[..., Any]:
    """A hook implementation that passes its errors to `failed` and its results to `checked`.

    Args:
        function: the plugin's implementation.
        own: the arguments that it names.
        given: all arguments of the hook, in the order of the call.
        failed: returns nothing if the run goes on.
        checked: not called for None, which means that the plugin passes.
    """
    chosen = _choose(own, given)

    @functools.wraps(function)
    def call(*args: Any) -> Any:
        try:
            answer = function(*chosen(args))
        except BaseException as error:
            failed(error)
            return None
        if answer is not None:
            checked(dict(zip(given, args)), None, answer)
        return answer

    return call


def guarded_wrapper(
    function: Callable[..., Any],
    own: Sequence[str],
    given: Sequence[str],
    failed: Failed,
    checked: Checked,
    decided: Callable[[], None],
) -> Callable[..., Any]:
    """A wrapper that passes its errors to `failed`, and calls `decided` when it changes a result.

    If it fails and the run goes on, the wrapped result is returned unchanged, likewise if the wrapper returns nothing.
    An error of the stage is always raised again, whatever the wrapper does with it.

    Args:
        function: the plugin's wrapper, a generator function.
        own: the arguments that it names.
        given: all arguments of the hook, in the order of the call.
        failed: returns nothing if the run goes on.
        checked: called for a changed result.
        decided: called for a changed result.
    """
    chosen = _choose(own, given)

    @functools.wraps(function)
    def wrap(*args: Any) -> Generator[None, Any, Any]:
        try:
            watcher = function(*chosen(args))
            next(watcher)
        except StopIteration:
            failed(RuntimeError("a wrapper must yield once; it returned before"))
            return (yield)
        except BaseException as error:
            failed(error)
            return (yield)
        try:
            answer = yield
        except BaseException as error:
            _resume(lambda: watcher.throw(error), error, failed)
            raise
        changed = _resume(lambda: watcher.send(answer), None, failed)
        if changed is None or changed is answer:
            return answer
        decided()
        checked(dict(zip(given, args)), answer, changed)
        return changed

    return wrap


def _choose(own: Sequence[str], given: Sequence[str]) -> Callable[[Sequence[Any]], list[Any]]:
    places = [given.index(name) for name in own]
    return lambda args: [args[place] for place in places]


def _resume(resume: Callable[[], Any], raised: BaseException | None, failed: Failed) -> Any:
    """Continue a wrapper after the stage; its result, None if it fails."""
    try:
        resume()
    except StopIteration as end:
        return end.value
    except BaseException as error:
        if error is raised:
            return None
        failed(error)
    else:
        failed(RuntimeError("a wrapper must yield once; it yielded twice"))
    return None
