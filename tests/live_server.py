"""A server of `lipar live` on a toy model within a test, and what talks to it."""

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import torch
from websockets.asyncio.client import ClientConnection, connect

from lipar.config import Config
from lipar.live.model_host import ModelHost
from lipar.live.server.access import Access
from lipar.live.server.app import create_app
from lipar.live.server.limits import Limits
from lipar.live.server.serving import LiveServer, bind
from lipar.live.settings import LiveSettings
from lipar.testing.toy import ToyAutoencoder, ToyModel

SIZE = (64, 48)
PATIENCE = 60
"""Seconds until a test gives up; a machine may be busy."""
BROKEN = "broken"
"""The prompt for which the toy model gives NaN."""


class LiveToy(ToyModel):
    """Blocks of four pictures; NaN for one prompt."""

    def __init__(self) -> None:
        super().__init__(autoencoder=ToyAutoencoder(), block_frames=1)
        self._broken = False

    def set_prompt(self, prompt: str) -> None:
        self._broken = prompt == BROKEN
        super().set_prompt(prompt)

    def forward(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        answer = super().forward(*args, **kwargs)
        return answer * float("nan") if self._broken else answer


class RunningServer:
    """A server that runs in a thread.

    Args:
        server: of the app.
        port: it listens at.
    """

    def __init__(self, server: LiveServer, port: int, app: Any) -> None:
        self.server, self.port, self.app = server, port, app

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
    make_model: Callable[[], ToyModel] = LiveToy,
    access: Access | None = None,
    limits: Limits | None = None,
    clip: Path | None = None,
) -> Iterator[RunningServer]:
    """A server at a free port of this machine; it has ended when the context does."""
    with ModelHost(make_model()) as models:
        app = create_app(
            models,
            config=Config(),
            size=SIZE,
            defaults=LiveSettings(prompt="watercolour"),
            access=access,
            limits=limits,
            clip=clip,
        )
        bound = bind("127.0.0.1", 0)
        server = LiveServer(app)
        failed: list[BaseException] = []
        started = threading.Event()
        server.config.callback_notify = None

        def run() -> None:
            try:
                asyncio.run(_serve(server, bound, started))
            except BaseException as error:
                failed.append(error)
                started.set()

        thread = threading.Thread(target=run, name="live-server")
        thread.start()
        try:
            assert started.wait(PATIENCE)
            assert not failed, failed
            yield RunningServer(server, bound.getsockname()[1], app)
        finally:
            server.should_exit = True
            thread.join(PATIENCE)
            bound.close()
            assert not thread.is_alive()
            assert not failed, failed


async def _serve(server: LiveServer, bound: Any, started: threading.Event) -> None:
    begin = server.startup

    async def startup(sockets: Any = None) -> None:
        await begin(sockets)
        started.set()

    server.startup = startup  # type: ignore[method-assign]
    await server.serve([bound])
    assert len(asyncio.all_tasks()) == 1, asyncio.all_tasks()  # nothing is left behind


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
