"""The pictures of a session as a track of WebRTC."""

import asyncio
import time
from collections.abc import Callable
from fractions import Fraction

import av
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from lipar.live.block import LiveBlock
from lipar.live.server.strip import Picture, blank, compose

CLOCK = 90_000
"""Ticks of a second, as WebRTC counts video."""
REPEAT_SECONDS = 0.5
"""After which the last picture is sent again while there is no other, so that a lost one is replaced."""
LONGEST_INTERVAL = 1.0


class EditedTrack(MediaStreamTrack):
    """Sends the pictures of blocks, each block at its own pace.

    When the next block is there before the last picture of the one before was sent, the rest is left out: a picture
    that is sent late would be late for all that follow. While nothing comes, the last picture is repeated.

    Args:
        size: width and height of the blocks.
        clock: gives seconds.
    """

    kind = "video"

    def __init__(self, size: tuple[int, int], *, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock, self._begin, self._pts = clock, clock(), -1
        self._picture: Picture = blank(size)
        self._block: LiveBlock | None = None
        self._position = 0
        self._due = 0.0
        self._next: LiveBlock | None = None
        self._came = asyncio.Event()

    def show(self, block: LiveBlock) -> None:
        """Send a block as soon as the current picture has had its time; a block that still waits is left out."""
        self._next = block
        self._came.set()

    async def recv(self) -> av.VideoFrame:
        """The next picture, when it is due."""
        if self.readyState != "live":
            raise MediaStreamError
        if await self._advance():
            self._picture = await asyncio.to_thread(self._composed)
        return self._frame()

    async def _advance(self) -> bool:
        """Wait for the next picture; gives whether there is one, or the last is repeated."""
        left = 0 if self._block is None else len(self._block.pictures) - self._position - 1
        wait = max(0.0, self._due - self._clock()) if left else REPEAT_SECONDS
        if self._next is None:
            try:
                async with asyncio.timeout(wait):
                    await self._came.wait()
            except TimeoutError:
                pass
        now = self._clock()
        if self._next is not None:
            self._block, self._next, self._position = self._next, None, 0
            self._came.clear()
            self._due = now
        elif left:
            self._position += 1
        else:
            return False
        assert self._block is not None
        # counted from when it was due, so that what is late once is not late for ever
        self._due += min(self._block.interval, LONGEST_INTERVAL)
        return True

    def _composed(self) -> Picture:
        block, at = self._block, self._position
        assert block is not None
        return compose(block.sources[at], block.pictures[at], block.stamps[at])

    def _frame(self) -> av.VideoFrame:
        frame = av.VideoFrame.from_ndarray(self._picture, format="rgb24")
        # later than the one before, also on a clock that stands still
        self._pts = max(self._pts + 1, round((self._clock() - self._begin) * CLOCK))
        frame.pts, frame.time_base = self._pts, Fraction(1, CLOCK)
        return frame
