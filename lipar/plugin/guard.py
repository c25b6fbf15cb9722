"""A plugin that fails: who raised is told, what decides stops the run, and what only looks on is dropped."""

import functools
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from lipar.files.signals import EndedBySignal

DECIDING = frozenset({"lipar_prune", "lipar_forward", "lipar_restore"})
"""Hooks whose answer is used."""
TOLD = frozenset({"lipar_edit_begun", "lipar_block_written", "lipar_edit_ended"})
"""Hooks that give no answer. Together with wrappers of the stages, these are for looking on."""

Failed = Callable[[BaseException], None]
"""Told what a plugin raised; raises it again where the run must stop."""
Checked = Callable[[Mapping[str, Any], Any, Any], None]
"""Told what a hook was given, the answer beneath a wrapper (else None), and its own; raises where that is of no use."""


def stops(error: BaseException) -> bool:
    """Whether the user or the system ends the program by this, whoever's code was running: Ctrl-C or SIGTERM."""
    return type(error) is KeyboardInterrupt or isinstance(error, EndedBySignal)


def reason(error: BaseException) -> str:
    """What was raised, in one line; a stranger's exception may fail even at that."""
    try:
        text = str(error)
    except Exception:
        text = "(its message cannot be read)"
    return f"{type(error).__name__}: {text}"


def caught(error: BaseException, who: str) -> Exception:
    """What a plugin raised, as an error that the run can end with: it names the plugin and gives no exit code.

    Raises:
        BaseException: the error itself, where it is none of the plugin's: Ctrl-C or SIGTERM.
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
    """While inside, code of a plugin runs: what it raises names `who`; None: an error needs no name."""
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
    """A hook implementation whose errors are told to `failed`, and whose answers to `checked`.

    Args:
        function: the plugin's.
        own: the arguments that it names.
        given: all arguments of the hook, in the order in which they come.
        failed: gives nothing back where the run goes on.
        checked: not called for None, which is no answer.
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
    """A wrapper whose errors are told to `failed`, and which tells `decided` when it changes an answer.

    Where it fails and `failed` lets that pass, the answer beneath it goes up as it came; so it does where the wrapper
    gives nothing back. An error of the stage goes on, whatever the wrapper makes of it. Other arguments as `guarded`.
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
    """Let a wrapper see what came of the stage; gives what it makes of an answer, None where it fails."""
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
