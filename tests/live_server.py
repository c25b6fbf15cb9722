"""A server of `lipar live` on a toy model within a test, and what talks to it."""

import asyncio
import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from fastapi import FastAPI
from live_toys import PoisonedModel
from websockets.asyncio.client import ClientConnection, connect

from lipar.config import Config
from lipar.live.block import LiveBlock
from lipar.live.model_host import ModelHost
from lipar.live.server.access import Access
from lipar.live.server.app import create_app
from lipar.live.server.limits import Limits
from lipar.live.server.serving import LiveServer, bind
from lipar.live.server.strip import STRIP
from lipar.live.settings import LiveSettings
from lipar.testing.toy import ToyAutoencoder, ToyModel

SIZE = (64, 48)
PATIENCE = 60
"""Seconds until a test gives up; a machine may be busy."""


def live_toy() -> ToyModel:
    """A toy with blocks of four pictures; see `PoisonedModel` for prompts on which it fails."""
    return PoisonedModel(autoencoder=ToyAutoencoder(), block_frames=1)


class RunningServer:
    """A server that runs in a thread.

    Args:
        server: of the app.
        port: it listens at.
        app: from `create_app`.
    """

    loop: asyncio.AbstractEventLoop

    def __init__(self, server: LiveServer, port: int, app: FastAPI) -> None:
        self.server, self.port, self.app = server, port, app
        self.started = threading.Event()
        self.failed: list[BaseException] = []

    def run(self, bound: socket.socket) -> None:
        """Serve until `server.should_exit`; in a thread."""
        try:
            asyncio.run(self._serve(bound))
        except BaseException as error:
            self.failed.append(error)
        finally:
            self.started.set()

    async def _serve(self, bound: socket.socket) -> None:
        self.loop = asyncio.get_running_loop()
        startup = self.server.startup

        async def begin(sockets: list[socket.socket] | None = None) -> None:
            await startup(sockets)
            self.started.set()

        self.server.startup = begin  # type: ignore[method-assign]
        await self.server.serve([bound])
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, left

    def until_none(self) -> None:
        """Wait until no session is open."""
        waiting = asyncio.run_coroutine_threadsafe(self.app.state.sessions.until_none(), self.loop)
        waiting.result(PATIENCE)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def stream(self) -> str:
        return f"ws://127.0.0.1:{self.port}/api/stream"

    @property
    def sessions(self) -> int:
        count: int = self.app.state.sessions.count
        return count

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(f"{self.url}{path}", timeout=PATIENCE, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}{path}", timeout=PATIENCE, **options)


@contextlib.contextmanager
def live_server(
    *,
    make_model: Callable[[], ToyModel] = live_toy,
    access: Access | None = None,
    limits: Limits | None = None,
    clip: Path | None = None,
    size: tuple[int, int] = SIZE,
) -> Iterator[RunningServer]:
    """A server at a free port of this machine; it has ended when the context does."""
    with ModelHost(make_model()) as models:
        app = create_app(
            models,
            config=Config(),
            size=size,
            defaults=LiveSettings(prompt="watercolour"),
            access=access,
            limits=limits,
            clip=clip,
        )
        bound = bind("127.0.0.1", 0)
        running = RunningServer(LiveServer(app), bound.getsockname()[1], app)
        thread = threading.Thread(target=running.run, args=(bound,), name="live-server")
        thread.start()
        try:
            assert running.started.wait(PATIENCE)
            assert not running.failed, running.failed
            yield running
        finally:
            running.server.should_exit = True
            thread.join(PATIENCE)
            bound.close()
            assert not thread.is_alive()
            assert not running.failed, running.failed


class Program:
    """A program at the other end of a WebSocket.

    Args:
        socket: is connected.
    """

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.messages: list[dict[str, Any]] = []

    async def say(self, kind: str, **fields: Any) -> None:
        await self.socket.send(json.dumps({"type": kind, **fields}))

    async def open(
        self, form: str = "rgb24", size: tuple[int, int] = SIZE, **settings: Any
    ) -> dict[str, Any]:
        await self.say("open", format=form, width=size[0], height=size[1], settings=settings)
        return await self.until("ready")

    async def push(self, stamp: int, picture: bytes) -> None:
        await self.socket.send(stamp.to_bytes(8, "big") + picture)

    async def next(self) -> dict[str, Any] | bytes:
        async with asyncio.timeout(PATIENCE):
            received = await self.socket.recv()
        if isinstance(received, bytes):
            return received
        message: dict[str, Any] = json.loads(received)
        self.messages.append(message)
        return message

    async def until(self, kind: str) -> dict[str, Any]:
        """The next message of a type; others and frames are passed over."""
        while True:
            message = await self.next()
            if isinstance(message, dict) and message["type"] == kind:
                return message

    async def frame(self) -> tuple[int, bytes]:
        """The next frame, with its stamp; messages are passed over."""
        while isinstance(message := await self.next(), dict):
            assert message["type"] != "closed", message
        return int.from_bytes(message[:8], "big"), message[8:]


@contextlib.asynccontextmanager
async def program(server: RunningServer, **options: Any) -> Any:
    async with connect(server.stream, max_size=None, **options) as socket:
        yield Program(socket)


def picture(number: int, size: tuple[int, int] = SIZE) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A picture that differs from others."""
    width, height = size
    ramp = np.arange(width * height * 3, dtype=np.int64).reshape(height, width, 3)
    return ((ramp // 7 + 40 * number) % 256).astype(np.uint8)


def edited_block(*numbers: int, interval: float = 0.0) -> LiveBlock:
    """A block whose pictures are told by their brightness."""
    pictures = np.stack([np.full((SIZE[1], SIZE[0], 3), number, np.uint8) for number in numbers])
    return LiveBlock(
        index=0,
        run=0,
        pictures=pictures,
        sources=np.stack([picture(number) for number in numbers]),
        stamps=tuple(np.full((STRIP, SIZE[0], 3), number, np.uint8) for number in numbers),
        interval=interval,
        prompt="night",
        kept_fraction=1.0,
        stages={},
        seconds=0.1,
        latency=0.1,
    )
