"""The data channel of a session: control messages both ways."""

import asyncio
from collections.abc import Sequence

from aiortc import RTCDataChannel
from aiortc.exceptions import InvalidStateError

from lipar.live.server.ending import BadMessage, ClientGone, Ended
from lipar.live.server.limits import Limits

UNSENT_BYTES = 2**16
"""That wait in the channel; more waits outside."""
CLOSE_SECONDS = 2
"""For the last messages to be sent."""


class ControlChannel:
    """A data channel that will be opened by the client.

    Args:
        limits: of the client.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._channel: RTCDataChannel | None = None
        self._received: asyncio.Queue[str | Exception] = asyncio.Queue()
        self._sent = asyncio.Event()
        self.opened = asyncio.Event()

    def open(self, channel: RTCDataChannel) -> None:
        """Take the channel; a second one is closed."""
        if self._channel is not None:
            channel.close()
            return
        self._channel = channel
        channel.bufferedAmountLowThreshold = UNSENT_BYTES
        channel.add_listener("message", self._take)
        channel.add_listener("bufferedamountlow", self._sent.set)
        channel.add_listener("close", self._take_close)
        self.opened.set()

    async def receive(self) -> str:
        """The next message; waits for it.

        Raises:
            BadMessage: it is no text.
            Ended: too many came.
            ClientGone: the channel is closed.
        """
        message = await self._received.get()
        if isinstance(message, Exception):
            raise message
        return message

    async def send(self, text: str) -> None:
        """Send a message; waits while the client does not read.

        Raises:
            Ended: it did not for too long.
            ClientGone: the channel is closed.
        """
        channel = self._channel
        if channel is None:
            raise ClientGone
        try:
            async with asyncio.timeout(self._limits.unread_seconds):
                while channel.bufferedAmount > UNSENT_BYTES:
                    self._sent.clear()
                    await self._sent.wait()
        except TimeoutError:
            raise Ended(
                f"the client did not read for {self._limits.unread_seconds} seconds what was sent to it"
            ) from None
        try:
            channel.send(text)
        except InvalidStateError:
            raise ClientGone from None

    async def send_last(self, texts: Sequence[str]) -> None:
        """Send the last messages, and wait until they are on their way.

        Args:
            texts: in their order.

        Raises:
            TimeoutError: the client does not read.
            ClientGone: the channel is closed.
        """
        channel = self._channel
        if channel is None:
            raise ClientGone
        channel.bufferedAmountLowThreshold = 0
        async with asyncio.timeout(CLOSE_SECONDS):
            for text in texts:
                await self.send(text)
            while channel.bufferedAmount:
                self._sent.clear()
                await self._sent.wait()

    def _take(self, message: str | bytes) -> None:
        waiting, most = self._received.qsize(), self._limits.messages_per_second
        if waiting > most:
            return  # the session ends when it comes to the error below
        # a second's worth that was not looked at is more than may come
        if waiting == most:
            self._received.put_nowait(Ended(f"more than {most} messages a second came"))
        elif isinstance(message, bytes):
            self._received.put_nowait(BadMessage("messages are text, and bytes came"))
        else:
            self._received.put_nowait(message)

    def _take_close(self) -> None:
        self._received.put_nowait(ClientGone())
