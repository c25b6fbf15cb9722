"""The frames that wait for the next block: never more than it takes, and always the latest."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import attrs

EAGERNESS = 0.95
"""The pace is a little faster than the model, so that the model never waits; what is too much is dropped."""
SLOWEST = 1.0
"""Seconds between two frames at most, so that a single slow block does not stop the stream."""


@attrs.frozen(eq=False)
class Waiting:
    """A frame that waits."""

    frame: Any
    stamp: Any
    time: float
    """When it came, in seconds of the clock."""


class LatestFrames:
    """The frames that wait for the next block.

    A block of a causal model needs several frames that follow each other. They are gathered while the block before is
    computed, at the pace at which the model takes them: of a camera that is three times as fast as the model, every
    third frame is taken, so that motion stays even. While the model waits for frames, every frame is taken. If there
    are more frames than the block needs, the oldest one is dropped. So the latency of a block is bounded by the time
    to gather it and the time to compute it, however long the session runs and whatever the camera sends.

    Args:
        room: frames of the next block.
        clock: gives seconds.
    """

    def __init__(self, room: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.room = room
        """How many frames the next block takes; may be set at any time."""
        self.interval = 0.0
        """Seconds between two frames that are taken; 0: every frame."""
        self.skipped = 0
        """Frames that were not taken, or dropped."""
        self._clock = clock
        self._due = 0.0
        self._frames: deque[Waiting] = deque()
        self._full = asyncio.Event()
        self._wanted = False
        """Whether the model waits."""

    def push(self, frame: Any, stamp: Any = None) -> None:
        """Take a frame, skip it, or drop the oldest one; never waits.

        Args:
            frame: any picture.
            stamp: comes back with it.
        """
        now = self._clock()
        if not self._wanted and now < self._due:
            self.skipped += 1
            return
        # counted from when the frame was due, so that a camera's own rhythm does not slow the pace
        self._due = max(self._due, now - self.interval) + self.interval
        self._frames.append(Waiting(frame, stamp, now))
        while len(self._frames) > self.room:
            self._frames.popleft()
            self.skipped += 1
        if len(self._frames) == self.room:
            self._full.set()

    async def take(self) -> list[Waiting]:
        """The frames of the next block, in order; waits until there are enough."""
        self._wanted = True
        try:
            while len(self._frames) < self.room:
                self._full.clear()
                await self._full.wait()
        finally:
            self._wanted = False
        taken = [self._frames.popleft() for _ in range(self.room)]
        self._full.clear()
        return taken

    def flush(self) -> None:
        """Drop all that wait; they were taken for another prompt, or before a reset."""
        self.skipped += len(self._frames)
        self._frames.clear()
        self._full.clear()
        self._due = 0.0

    def keep_pace(self, seconds: float, frames: int) -> None:
        """Learn from a block how fast the model takes frames.

        Args:
            seconds: it was busy with the block.
            frames: of the block.
        """
        latest = min(EAGERNESS * seconds / frames, SLOWEST)
        # the mean of this block and those before, so that a single slow one does not change the pace much
        self.interval = latest if self.interval == 0 else (self.interval + latest) / 2
