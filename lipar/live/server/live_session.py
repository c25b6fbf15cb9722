"""A session as its client sees it, by whatever way: control messages, figures, recordings, limits."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Generic, NoReturn, TypeVar

from lipar.live.block import LiveBlock
from lipar.live.pictures import Frame
from lipar.live.server.ending import BadMessage, Ended
from lipar.live.server.limits import Limits, RateLimit
from lipar.live.server.messages import Change, Open, Pause, Record, Reset, Resume, parse
from lipar.live.server.outbox import Outbox
from lipar.live.server.recording import Recorder, Recordings
from lipar.live.server.strip import STRIP
from lipar.live.server.tasks import Latest
from lipar.live.session import Session
from lipar.video.errors import VideoError

STATS_SECONDS = 0.2
"""Between two messages with figures, at least."""


FRAMES = 8
"""That came and are not converted; older ones are left out."""
Raw = TypeVar("Raw")


class LiveSession(Generic[Raw]):
    """A session as its client sees it, by a way that gives frames of some kind.

    Args:
        session: has begun.
        name: its id.
        outbox: gets the answers.
        limits: of the client.
        recordings: of the server.
        clock: gives seconds.
    """

    def __init__(
        self,
        session: Session,
        name: str,
        outbox: Outbox,
        *,
        limits: Limits,
        recordings: Recordings,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.session = session
        self._outbox, self._limits, self._recordings, self._clock = outbox, limits, recordings, clock
        self._messages = RateLimit(limits.messages_per_second, clock=clock)
        self._frames = RateLimit(limits.frames_per_second, clock=clock)
        self._waiting: Latest[tuple[int, Raw]] = Latest(FRAMES)
        self._flushes = 0
        """How often frames that had come were to be dropped."""
        self._recorder: Recorder | None = None
        self._recorded = 0
        self._told = clock() - STATS_SECONDS
        outbox.put(
            {
                "type": "ready",
                "session": name,
                "size": list(session.size),
                "strip": STRIP,
                "block_frames": session.block_frames,
                "settings": session.settings.as_dict(),
            }
        )

    def take_frame(self, frame: Raw) -> None:
        """Take a frame as it came; never waits.

        Raises:
            Ended: too many come.
        """
        if not self._frames.allows():
            raise Ended(f"more than {self._frames.per_second} frames a second came")
        self._waiting.put((self._flushes, frame))

    async def push_frames(self, convert: Callable[[Raw], tuple[Frame, Any]]) -> NoReturn:
        """Give the session the frames that come.

        Args:
            convert: gives a frame and its stamp; is called in a thread, for one at a time.

        Raises:
            BadMessage: what came is no frame.
            LiveError: the session has ended.
        """
        while True:
            flushes, raw = await self._waiting.take()
            frame, stamp = await asyncio.to_thread(convert, raw)
            # a message that came after the frame, and drops what came before it, was done in the meantime
            if flushes == self._flushes:
                self.session.push(frame, stamp)

    async def receive(self, text: str) -> None:
        """Do what a control message says.

        Args:
            text: as it came.

        Raises:
            BadMessage: it is none.
            Ended: too many come.
            LiveError: the session has ended.
        """
        if not self._messages.allows():
            raise Ended(f"more than {self._messages.per_second} messages a second came")
        match parse(text, self._limits):
            case Change(settings):
                self._change(settings)
            case Reset():
                self._flushes += 1
                self.session.reset()
                self._outbox.put({"type": "reset"})
            case Pause():
                self._flushes += 1
                self.session.pause()
                self._tell_figures()
            case Resume():
                self._flushes += 1
                self.session.resume()
                self._tell_figures()
            case Record(on):
                await (self._begin_recording() if on else self._end_recording())
            case Open():
                raise BadMessage("open is the first message and comes once")

    async def blocks(self) -> AsyncIterator[LiveBlock]:
        """The blocks of the session, each of them recorded and its figures told.

        Raises:
            LiveError: the session has failed, or was closed.
        """
        while True:
            block = await self.session.next_block()
            if self._recorder is not None:
                self._recorder.add(block)
                if self._recorder.full:
                    await self._end_recording()
            if self._clock() - self._told >= STATS_SECONDS:
                self._tell_figures()
            yield block

    async def close(self) -> None:
        """Complete a recording that has not ended, and tell its path."""
        if self._recorder is not None:
            await self._end_recording()

    def _change(self, settings: dict[str, Any]) -> None:
        before = self.session.settings
        try:
            after = self.session.change(**settings)
        except (TypeError, ValueError) as error:
            self._outbox.put({"type": "refused", "reason": str(error)})
        else:
            self._flushes += after.prompt != before.prompt or after.needs_new_run(before)
            self._outbox.put({"type": "settings", "settings": after.as_dict()})

    def _tell_figures(self) -> None:
        self._told = self._clock()
        self._outbox.put({"type": "stats", **self.session.stats().as_dict()})

    async def _begin_recording(self) -> None:
        if self._recorder is not None:
            return
        if self._recorded == self._limits.recordings:
            reason = f"a session may make {self._recorded} recordings; reload the page for another session"
            self._outbox.put({"type": "refused", "reason": reason})
            return
        try:
            self._recorder = Recorder(self._recordings, self.session.size, self._limits.recording_seconds)
        except VideoError as error:
            self._outbox.put({"type": "refused", "reason": str(error)})
        else:
            self._recorded += 1

    async def _end_recording(self) -> None:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return
        try:
            done = await recorder.finish()
        except VideoError as error:
            await recorder.abort()
            self._outbox.put({"type": "refused", "reason": str(error)})
            return
        self._outbox.put(
            {
                "type": "recorded",
                "path": f"/api/recordings/{done.name}",
                "seconds": done.seconds,
                "frames": done.frames,
            }
        )
