"""A page at the other end of WebRTC, in Python: what it sends has the strip, and what comes back is kept."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from fractions import Fraction
from typing import Any

import av
import httpx
import numpy as np
from aiortc import RTCConfiguration, RTCPeerConnection, RTCSessionDescription
from aiortc.mediastreams import MediaStreamTrack
from live_server import PATIENCE, SIZE, RunningServer

from lipar.live.server.strip import STRIP

CELLS = 16


def written(milliseconds: int, width: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The strip that says when its frame was taken."""
    octets = (milliseconds % 2**24).to_bytes(3, "big")
    octets += bytes([octets[0] ^ octets[1] ^ octets[2] ^ 0xA5])
    cells = np.unpackbits(np.frombuffer(octets, np.uint8)).reshape(2, CELLS) * np.uint8(255)
    rows = np.repeat(np.repeat(cells, STRIP // 2, axis=0), width // CELLS, axis=1)
    return np.repeat(rows[..., None], 3, axis=2)


def read(strip: np.ndarray[Any, np.dtype[np.uint8]]) -> int | None:
    """The milliseconds that a strip says; None where its check does not fit."""
    height, width, _ = strip.shape
    cells = strip.reshape(2, height // 2, CELLS, width // CELLS, 3).mean(axis=(1, 3, 4)) > 127
    octets = np.packbits(cells.reshape(-1)).tobytes()
    if octets[3] != octets[0] ^ octets[1] ^ octets[2] ^ 0xA5:
        return None
    return int.from_bytes(octets[:3], "big")


class Camera(MediaStreamTrack):
    """Pictures with their strip, thirty a second; stamped by their numbers.

    Args:
        scale: each pixel is sent as so many in width and height.
    """

    kind = "video"

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale, self.sent, self._begin = scale, 0, time.monotonic()

    def shown(self, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
        """A picture, with its strip; a grey that differs from frame to frame."""
        width, height = SIZE
        grey = np.full((height, width, 3), 40 + 10 * (number % 16), np.uint8)
        return np.concatenate([grey, written(1000 + number, width)])

    def _sent_as(self, shown: np.ndarray[Any, np.dtype[np.uint8]]) -> np.ndarray[Any, np.dtype[np.uint8]]:
        return np.repeat(np.repeat(shown, self.scale, axis=0), self.scale, axis=1)

    async def recv(self) -> av.VideoFrame:
        await asyncio.sleep(max(0.0, self._begin + self.sent / 30 - time.monotonic()))
        frame = av.VideoFrame.from_ndarray(self._sent_as(self.shown(self.sent)), format="rgb24")
        frame.pts, frame.time_base = self.sent, Fraction(1, 30)
        self.sent += 1
        return frame


class Page:
    """The page's side of a session."""

    def __init__(self, scale: int = 1) -> None:
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.camera = Camera(scale)
        self.channel = self.connection.createDataChannel("control")
        self.messages: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.tracks: asyncio.Queue[MediaStreamTrack] = asyncio.Queue()
        self.closed = asyncio.Event()
        self.connection.addTrack(self.camera)
        self.channel.on("message", lambda text: self.messages.put_nowait(json.loads(text)))
        self.channel.on("close", self.closed.set)
        self.connection.on("track", self.tracks.put_nowait)

    async def offer(self, **settings: Any) -> dict[str, Any]:
        await self.connection.setLocalDescription()
        described = self.connection.localDescription
        return {"sdp": described.sdp, "type": described.type, "settings": settings}

    async def connect(self, server: RunningServer, **settings: Any) -> dict[str, Any]:
        """Offer, take the answer, and wait until the session is ready."""
        async with httpx.AsyncClient(timeout=PATIENCE) as client:
            response = await client.post(f"{server.url}/api/offer", json=await self.offer(**settings))
        answer = response.json()
        assert response.status_code == 200, answer
        await self.connection.setRemoteDescription(RTCSessionDescription(answer["sdp"], answer["type"]))
        ready = await self.until("ready")
        assert ready["session"] == answer["session"]
        return ready

    def say(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    async def until(self, kind: str) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE):
            while (message := await self.messages.get())["type"] != kind:
                assert message["type"] != "closed", message
        return message

    async def pictures(self) -> AsyncIterator[np.ndarray[Any, np.dtype[np.uint8]]]:
        async with asyncio.timeout(PATIENCE):
            track = await self.tracks.get()
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.VideoFrame)
                yield frame.to_ndarray(format="rgb24")


@asynccontextmanager
async def page(scale: int = 1) -> AsyncIterator[Page]:
    opened = Page(scale)
    try:
        yield opened
    finally:
        await opened.connection.close()
