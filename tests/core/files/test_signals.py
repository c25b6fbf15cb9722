"""Signals that end a run as exceptions do."""

# what is owned is written inside `pytest.raises`:
# ruff: noqa: PT012

import contextlib
import signal
from pathlib import Path

import pytest
from output_files import names

from lipar.files.owner import Outputs
from lipar.files.signals import Answered, EndedBySignal, SignalExit, undisturbed


def test_signals_that_somebody_else_answers_stay_theirs(tmp_path: Path) -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: came.append(number))
    try:
        with Outputs():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_sigterm_passes_those_that_catch_system_exit_and_ends_as_one(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended, Outputs() as outputs:
        outputs.claim(tmp_path / "a.json")
        with contextlib.suppress(Exception, SystemExit):  # as one does around a plugin that may call sys.exit
            signal.raise_signal(signal.SIGTERM)
        pytest.fail("the signal was lost")
    assert (ended.value.code, ended.value.__notes__) == (143, ["no file was left behind"])


def test_an_owner_within_an_owner_leaves_signals_to_the_outer_one(tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as ended, Outputs() as outer:
        outer.claim(tmp_path / "a.json")
        with pytest.raises(EndedBySignal, match="ended by SIGTERM") as caught, Outputs() as inner:
            inner.claim(tmp_path / "b.json")
            signal.raise_signal(signal.SIGTERM)
        assert names(tmp_path) == [".a.partial.json"]
        raise caught.value
    assert ended.value.code == 143 and names(tmp_path) == []


def test_a_signal_in_an_undisturbed_function_is_raised_at_its_end() -> None:
    done: list[str] = []

    @undisturbed
    def inner() -> None:
        signal.raise_signal(signal.SIGTERM)
        done.append("inner")

    @undisturbed
    def outer() -> None:
        inner()
        done.append("outer")

    with pytest.raises(SignalExit) as ended, Answered():
        outer()
        done.append("behind")
    assert (ended.value.code, done) == (128 + signal.SIGTERM, ["inner", "outer"])


def test_a_function_that_fails_forgets_the_signal_that_came_in_it() -> None:
    @undisturbed
    def fail() -> None:
        signal.raise_signal(signal.SIGTERM)
        raise ValueError("first")

    with Answered():
        with pytest.raises(ValueError, match="first"):
            fail()
        undisturbed(lambda: None)()  # would raise the signal if it still waited


def test_handlers_are_as_before_after_the_end() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Answered():
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
