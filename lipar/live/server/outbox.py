"""Messages to a client that wait to be sent."""

import asyncio
import json
from collections import deque
from typing import Any

from lipar.live.server.ending import Ended


class Outbox:
    """Messages to a client: answers in their order, and of figures only the latest.

    Args:
        most: answers that may wait.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._answers: deque[dict[str, Any]] = deque()
        self._figures: dict[str, Any] | None = None
        self._came = asyncio.Event()

    def put(self, message: dict[str, Any]) -> None:
        """Have a message sent; never waits.

        Raises:
            Ended: the client does not read its messages.
        """
        if message["type"] == "stats":
            self._figures = message
        elif len(self._answers) == self._most:
            raise Ended(f"{self._most} answers wait for a client that does not read them")
        else:
            self._answers.append(message)
        self._came.set()

    async def take(self) -> str:
        """The next message as text; waits for it."""
        while not self._answers and self._figures is None:
            self._came.clear()
            await self._came.wait()
        if self._answers:
            return json.dumps(self._answers.popleft())
        figures, self._figures = self._figures, None
        return json.dumps(figures)

    def drain(self) -> list[str]:
        """All answers that wait, at the end of a session."""
        waiting = [json.dumps(message) for message in self._answers]
        self._answers.clear()
        return waiting
