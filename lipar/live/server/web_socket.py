"""Sessions of programs: JPEG or raw frames in and out, over a WebSocket."""

import asyncio
import json
from collections.abc import Awaitable
from contextlib import suppress
from functools import partial
from typing import TypeAlias

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from lipar.live.block import LiveBlock
from lipar.live.server.ending import BadMessage, ClientGone, Code, Ended
from lipar.live.server.frame_codec import Picture, decode, encode
from lipar.live.server.live_session import LiveSession
from lipar.live.server.live_sessions import LiveSessions, ending_of, new_name
from lipar.live.server.messages import Open, join_frame, parse, split_frame
from lipar.live.server.outbox import Outbox
from lipar.live.server.tasks import until_first

RawFrame: TypeAlias = tuple[int, memoryview]
"""A stamp, and a picture in the program's format."""
CLOSE_SECONDS = 2
"""For a client to take the message that its session is closed."""
LONGEST_REASON = 120
"""Bytes that a frame that closes a WebSocket has room for; the message before it has the whole reason."""


async def serve_program(socket: WebSocket, sessions: LiveSessions) -> None:
    """Answer a program until it leaves, or its session is closed.

    Args:
        socket: not yet accepted.
        sessions: of the server.
    """
    await socket.accept()
    outbox = Outbox(sessions.limits.waiting_messages)
    try:
        with sessions.place():
            await _Program(socket, sessions, outbox).run()
    except (ClientGone, WebSocketDisconnect):
        pass
    except Exception as error:  # whatever fails ends this session only
        await _close(socket, outbox, *ending_of(error))


async def _close(socket: WebSocket, outbox: Outbox, reason: str, code: Code) -> None:
    # a client that does not read cannot be told
    with suppress(TimeoutError, WebSocketDisconnect, RuntimeError, OSError):
        async with asyncio.timeout(CLOSE_SECONDS):
            for text in (*outbox.drain(), json.dumps({"type": "closed", "reason": reason})):
                await socket.send_text(text)
            await socket.close(code, reason.encode()[:LONGEST_REASON].decode("utf-8", "ignore"))


class _Program:
    """A program's session."""

    def __init__(self, socket: WebSocket, sessions: LiveSessions, outbox: Outbox) -> None:
        self._socket, self._sessions, self._outbox = socket, sessions, outbox
        self._limits = sessions.limits

    async def run(self) -> None:
        opening = await self._opening()
        settings = self._sessions.settings(opening.settings)
        async with self._sessions.session(settings, self._outbox, new_name()) as live:
            await until_first(
                self._read(live),
                live.push_frames(partial(_decoded, opening)),
                self._send_messages(),
                self._send_blocks(live, opening.format),
                self._sessions.until_end(),
            )

    async def _opening(self) -> Open:
        try:
            async with asyncio.timeout(self._limits.open_seconds):
                first = await self._receive()
        except TimeoutError:
            raise Ended(f"no message came within {self._limits.open_seconds} seconds") from None
        message = parse(first, self._limits) if isinstance(first, str) else None
        if not isinstance(message, Open):
            raise BadMessage('the first message says what is sent: {"type": "open", "format": ...}')
        return message

    async def _receive(self) -> str | bytes:
        if self._socket.application_state is WebSocketState.DISCONNECTED:
            raise ClientGone
        message = await self._socket.receive()
        if message["type"] == "websocket.disconnect":
            raise ClientGone
        text: str | None = message.get("text")
        data: bytes | None = message.get("bytes")
        return text if text is not None else data or b""

    async def _read(self, live: LiveSession[RawFrame]) -> None:
        """Take everything that comes at once, so that no frame waits where it grows old."""
        while True:
            message = await self._receive()
            if isinstance(message, str):
                await live.receive(message)
            else:
                live.take_frame(split_frame(message, self._limits))

    async def _send_messages(self) -> None:
        while True:
            text = await self._outbox.take()
            await self._in_time(self._socket.send_text(text))

    async def _send_blocks(self, live: LiveSession[RawFrame], form: str) -> None:
        # while a slow client takes one block, the session keeps only the newest of those that are finished
        async for block in live.blocks():
            await self._send_block(block, form)

    async def _send_block(self, block: LiveBlock, form: str) -> None:
        for stamp, picture in zip(block.stamps, block.pictures):
            data = await asyncio.to_thread(encode, picture, form)
            await self._in_time(self._socket.send_bytes(join_frame(stamp, data)))

    async def _in_time(self, sending: Awaitable[None]) -> None:
        try:
            async with asyncio.timeout(self._limits.unread_seconds):
                await sending
        except TimeoutError:
            raise Ended(
                f"the client did not read for {self._limits.unread_seconds} seconds what was sent to it"
            ) from None


def _decoded(opening: Open, frame: RawFrame) -> tuple[Picture, int]:
    stamp, data = frame
    return decode(data, opening.format, opening.size), stamp
