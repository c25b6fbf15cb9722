"""Work in a thread of its own: an iterator that runs ahead of its reader, and calls that are made later.

Both are bounded, keep the order, and raise an error of their thread where its result is taken. PyAV releases Python's
lock in its codecs, and PyTorch in its operations, so that such threads really run at the same time.
"""

import threading
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Generic, TypeVar

import attrs

from lipar.files.signals import undisturbed

Item = TypeVar("Item")

LONGEST_WAIT = 0.5
"""Seconds after which a wait begins again; where a lock does not answer to signals (Windows), Ctrl-C waits for it."""


@attrs.frozen
class _Made(Generic[Item]):
    item: Item


@attrs.frozen
class _Ended:
    error: BaseException | None = None


class BackgroundIterator(Iterator[Item]):
    """Iterates in a thread, a bounded number of items ahead of whoever takes them.

    The thread makes an item for a permit, and a permit is given back for each that is taken. Permits and items are
    in queues of C code, which a signal cannot leave half locked as it can those of Python code.

    Iterate inside `with`. When that is left the thread has ended, at the latest after the item that it was making.

    Args:
        items: what is iterated, in the thread alone.
        ahead: most items that are made and not taken, the one in the making included; at least 1.
        name: of the thread.
    """

    def __init__(self, items: Iterator[Item], *, ahead: int, name: str) -> None:
        if ahead < 1:
            raise ValueError(f"at least one item must be made ahead, got {ahead}")
        self._permits: SimpleQueue[None] = SimpleQueue()
        self._made: SimpleQueue[_Made[Item] | _Ended] = SimpleQueue()
        for _ in range(ahead):
            self._permits.put(None)
        self._stopped = self._ended = False
        # a daemon only for a process that ends by force: every other end waits for the thread
        self._thread = threading.Thread(target=self._run, args=(items,), name=name, daemon=True)

    def _run(self, items: Iterator[Item]) -> None:
        try:
            while True:
                self._permits.get()
                if self._stopped:
                    break
                self._made.put(_Made(next(items)))
        except StopIteration:
            self._made.put(_Ended())
        except BaseException as error:  # whatever it is, it belongs to whoever takes the items
            self._made.put(_Ended(error))

    def __next__(self) -> Item:
        """The next item; waits for it.

        Raises:
            StopIteration: there are no more.
            BaseException: what the iterator raised in its thread, after the items before it.
        """
        if self._ended:
            raise StopIteration
        made = _taken(self._made)
        if isinstance(made, _Made):
            self._permits.put(None)
            return made.item
        self._ended = True
        if made.error is not None:
            raise made.error
        raise StopIteration

    def is_ready(self) -> bool:
        """Whether the next item, or the error in its place, can be taken without a wait."""
        return not self._made.empty()

    @undisturbed
    def start(self) -> None:
        """Begin; `with` does it."""
        self._thread.start()

    @undisturbed
    def stop(self) -> None:
        """End the thread, and wait for that; items that were not taken are lost."""
        self._stopped = self._ended = True
        self._permits.put(None)
        if self._thread.ident is not None:
            self._thread.join()

    def __enter__(self) -> "BackgroundIterator[Item]":
        try:
            self.start()
        except BaseException:  # Ctrl-C
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class BackgroundCalls(Generic[Item]):
    """Calls a function in a thread, once for each item, in order; a bounded number of items waits for it.

    Put items inside `with`, and `finish` at its end. When it is left otherwise, the thread has ended, at the latest
    after the call that it was making, and items that still waited are dropped.

    Args:
        function: is called in the thread alone.
        behind: most items that are not yet done, the current one included; at least 1.
        name: of the thread.
    """

    def __init__(self, function: Callable[[Item], None], *, behind: int, name: str) -> None:
        self._function, self._behind = function, behind
        self._items: SimpleQueue[_Made[Item] | None] = SimpleQueue()
        """None: the thread is to end."""
        self._open = 0
        self._calls = BackgroundIterator(self._call_each(), ahead=behind, name=name)

    def _call_each(self) -> Iterator[None]:
        while (made := self._items.get()) is not None:
            yield self._function(made.item)

    def put(self, item: Item) -> None:
        """Have the function called with an item; waits while too many are not yet done.

        Raises:
            BaseException: what the function raised for an earlier item.
        """
        while self._open and (self._open == self._behind or self._calls.is_ready()):
            self._settle()
        self._open += 1
        self._items.put(_Made(item))

    def finish(self) -> None:
        """Wait until all items are done.

        Raises:
            BaseException: what the function raised.
        """
        while self._open:
            self._settle()

    def _settle(self) -> None:
        next(self._calls)
        self._open -= 1

    def __enter__(self) -> "BackgroundCalls[Item]":
        try:
            self._calls.start()
        except BaseException:  # Ctrl-C
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    @undisturbed
    def _stop(self) -> None:
        self._items.put(None)
        self._calls.stop()


def _taken(queue: "SimpleQueue[Item]") -> Item:
    while True:
        try:
            return queue.get(timeout=LONGEST_WAIT)
        except Empty:
            continue
