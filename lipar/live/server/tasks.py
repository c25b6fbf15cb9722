"""Tasks that belong together."""

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


async def until_first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run parts at the same time until the first of them ends; the others are cancelled, and have ended.

    Args:
        parts: each has a loop of its own.

    Raises:
        Exception: what a part raised.
    """
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ended = await asyncio.gather(*tasks, return_exceptions=True)
    for task, result in zip(tasks, ended):
        if task in done and isinstance(result, BaseException):
            raise result


class Latest(Generic[Item]):
    """Items that wait, the latest few of them: one that comes when there are too many drops the oldest.

    Args:
        room: most items that wait.
    """

    def __init__(self, room: int) -> None:
        self._items: deque[Item] = deque(maxlen=room)
        self._came = asyncio.Event()

    def put(self, item: Item) -> None:
        """Add an item; never waits."""
        self._items.append(item)
        self._came.set()

    async def take(self) -> Item:
        """The oldest item; waits for it."""
        while not self._items:
            self._came.clear()
            await self._came.wait()
        return self._items.popleft()
