"""Work in threads: in order, bounded, and ended together with whoever asked for it."""

import itertools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.editing.background import BackgroundCalls, BackgroundIterator
from lipar.files.signals import Answered


class Trouble(BaseException):
    """Neither Exception nor anything that Python knows."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = threading.active_count()
    yield
    assert threading.active_count() == before


def error_of(work: Callable[[], None]) -> BaseException | None:
    """What a function raises; None: nothing."""
    try:
        work()
    except BaseException as error:
        return error
    return None


counts = st.integers(0, 12)
bounds = st.integers(1, 4)


class Counted:
    """Iterates over numbers, and notes how many there were, made and not taken."""

    def __init__(self, length: int | None, error: BaseException | None = None) -> None:
        self.made = self.taken = self.most = 0
        self.threads: set[int] = set()
        self.length, self.error = length, error

    def __iter__(self) -> Iterator[int]:
        for number in itertools.count():
            if number == self.length:
                break
            self.threads.add(threading.get_ident())
            self.made += 1
            self.most = max(self.most, self.made - self.taken)
            yield number
        if self.error is not None:
            raise self.error


@given(counts, bounds)
def test_items_come_in_order_from_another_thread(length: int, ahead: int) -> None:
    source = Counted(length)
    with BackgroundIterator(iter(source), ahead=ahead, name="test") as items:
        assert list(items) == list(range(length))
        assert next(items, None) is None
    assert threading.get_ident() not in source.threads


@given(counts, bounds)
def test_never_are_more_items_made_and_not_taken_than_the_bound(length: int, ahead: int) -> None:
    source = Counted(length)
    with BackgroundIterator(iter(source), ahead=ahead, name="test") as items:
        for _ in range(length):
            # counted before the item is taken, since the thread goes on at once then
            source.taken += 1
            next(items)
    assert source.most <= ahead + 1


@given(counts, bounds, st.sampled_from([Trouble, KeyboardInterrupt, MemoryError, StopIteration]))
def test_an_error_comes_in_its_place_as_it_was_raised(length: int, ahead: int, kind: type) -> None:
    class Failing:
        numbers = iter(range(length))

        def __iter__(self) -> "Failing":
            return self

        def __next__(self) -> int:
            for number in self.numbers:
                return number
            raise error

    error, got = kind("lost"), []
    with BackgroundIterator(iter(Failing()), ahead=ahead, name="test") as items:
        raised = error_of(lambda: got.extend(items))
        assert next(items, None) is None
    # the end of an iterator is no error, however it was raised
    assert raised is (None if kind is StopIteration else error)
    assert got == list(range(length))


@given(counts, bounds)
def test_leaving_at_any_place_ends_an_endless_iterator(taken: int, ahead: int) -> None:
    source = Counted(None)
    running = threading.active_count()

    def take() -> None:
        with items:
            for number in range(taken):
                assert next(items) == number
            raise Trouble

    items = BackgroundIterator(iter(source), ahead=ahead, name="test")
    assert isinstance(error_of(take), Trouble)
    assert threading.active_count() == running
    assert taken <= source.made <= taken + ahead
    assert next(items, None) is None


@given(st.lists(st.integers(), max_size=12), bounds)
def test_calls_are_made_in_order_in_another_thread_and_finish_waits_for_them(
    given_items: list[int], behind: int
) -> None:
    done: list[int] = []
    threads: set[int] = set()

    def work(item: int) -> None:
        threads.add(threading.get_ident())
        done.append(item)

    with BackgroundCalls(work, behind=behind, name="test") as calls:
        for index, item in enumerate(given_items, start=1):
            calls.put(item)
            assert index - len(done) <= behind
        calls.finish()
        assert done == given_items
    assert threading.get_ident() not in threads


@given(counts, counts, bounds)
def test_an_error_of_a_call_is_raised_where_the_next_items_are_put_or_at_the_end(
    length: int, fails_at: int, behind: int
) -> None:
    error, done = Trouble(), []

    def work(item: int) -> None:
        if item == fails_at:
            raise error
        done.append(item)

    def put_all() -> None:
        with BackgroundCalls(work, behind=behind, name="test") as calls:
            for item in range(length):
                put.append(item)
                calls.put(item)
            put.append(length)
            calls.finish()

    put: list[int] = []
    raised = error_of(put_all)
    assert raised is (error if fails_at < length else None)
    assert raised is None or fails_at < put[-1] <= fails_at + behind
    assert done == list(range(min(length, fails_at)))


@given(counts, bounds)
def test_leaving_at_any_place_ends_the_calls(length: int, behind: int) -> None:
    done: list[int] = []
    running = threading.active_count()

    def put_all() -> None:
        with BackgroundCalls(done.append, behind=behind, name="test") as calls:
            for item in range(length):
                calls.put(item)
            raise Trouble

    assert isinstance(error_of(put_all), Trouble)
    assert threading.active_count() == running
    assert done == list(range(len(done))) and length - behind <= len(done) <= length


def test_a_bound_of_no_item_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one item"):
        BackgroundIterator(iter(()), ahead=0, name="test")


@pytest.mark.parametrize("kind", ["iterator", "calls"])
def test_ctrl_c_while_the_thread_begins_ends_it(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def interrupted(thread: threading.Thread) -> None:
        start(thread)
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(threading.Thread, "start", interrupted)
    made = {
        "iterator": lambda: BackgroundIterator(itertools.count(), ahead=1, name="test"),
        "calls": lambda: BackgroundCalls(print, behind=1, name="test"),
    }[kind]()
    with Answered(), pytest.raises(KeyboardInterrupt), made:
        raise AssertionError("the context was entered")


INTERRUPTED = """
import sys, threading, time
from lipar.editing.background import BackgroundCalls, BackgroundIterator
from lipar.files.signals import Answered

def slow():
    yield 0
    print("waiting", flush=True)
    time.sleep(1)
    yield 1
    time.sleep(60)

def work(item):
    print("waiting", flush=True)
    time.sleep(1)

try:
    with Answered():
        if sys.argv[1] == "next":
            with BackgroundIterator(slow(), ahead=1, name="test") as items:
                for item in items:
                    assert item == 0
        else:
            with BackgroundCalls(work, behind=1, name="test") as calls:
                calls.put(0)
                calls.put(1) if sys.argv[1] == "put" else calls.finish()
                calls.finish()
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), flush=True)
"""


@pytest.mark.parametrize("waits_in", ["next", "put", "finish"])
def test_ctrl_c_ends_a_wait_and_then_the_thread(waits_in: str) -> None:
    command = [sys.executable, "-c", INTERRUPTED, waits_in]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=30)[0].splitlines()[-1] == "interrupted 1"
        assert process.returncode == 0
