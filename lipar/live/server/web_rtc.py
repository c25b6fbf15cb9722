"""Sessions of the page: pictures both ways and a data channel, over WebRTC."""

import asyncio
import json
from contextlib import ExitStack, suppress
from functools import partial

import av
from aiortc import RTCConfiguration, RTCDataChannel, RTCPeerConnection
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack

from lipar.live.pictures import Fit
from lipar.live.server.control_channel import ControlChannel
from lipar.live.server.edited_track import EditedTrack
from lipar.live.server.ending import BadMessage, ClientGone, Ended
from lipar.live.server.live_session import LiveSession
from lipar.live.server.live_sessions import LiveSessions, ending_of, new_name
from lipar.live.server.offer import Offer
from lipar.live.server.outbox import Outbox
from lipar.live.server.strip import STRIP, Picture, cut
from lipar.live.server.tasks import until_first
from lipar.live.settings import LiveSettings

OVER = ("closed", "failed")
"""States of a connection."""


async def answer_offer(offer: Offer, sessions: LiveSessions) -> dict[str, str]:
    """Begin a session for a page; gives the answer to its offer, and the session's id.

    Args:
        offer: of the page.
        sessions: of the server.

    Raises:
        BadMessage: the offer or its settings are wrong.
        Ended: there are too many sessions.
    """
    settings = sessions.settings(offer.settings)
    with ExitStack() as stack:
        stack.enter_context(sessions.place())
        peer = Peer(sessions, settings)
        try:
            answer = await peer.answer(offer)
        except BaseException:
            await peer.close()
            raise
        sessions.start(_run(peer, stack.pop_all()))
    return {**answer, "session": peer.name}


async def _run(peer: "Peer", place: ExitStack) -> None:
    with place:
        await peer.run()


class Peer:
    """The page's side of a session, and what comes from it.

    Args:
        sessions: of the server.
        settings: to begin with.
    """

    def __init__(self, sessions: LiveSessions, settings: LiveSettings) -> None:
        self._sessions, self._settings, self._limits = sessions, settings, sessions.limits
        self.name = new_name()
        self._outbox = Outbox(self._limits.waiting_messages)
        # no servers: aiortc asks one on the internet for its address unless told otherwise
        self._connection = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self._edited = EditedTrack(sessions.size)
        self._track: MediaStreamTrack | None = None
        self._channel = ControlChannel(self._limits)
        self._gone = asyncio.Event()
        self._live: LiveSession[av.VideoFrame] | None = None
        self._connection.add_listener("track", self._take_track)
        self._connection.add_listener("datachannel", self._take_channel)
        self._connection.add_listener("connectionstatechange", self._notice_state)

    async def answer(self, offer: Offer) -> dict[str, str]:
        """The answer to an offer.

        Args:
            offer: of the page.

        Raises:
            BadMessage: it cannot be answered.
        """
        try:
            self._connection.addTrack(self._edited)
            await self._connection.setRemoteDescription(offer.description)
            await self._connection.setLocalDescription()
        except Exception as error:  # aiortc fails in many ways on an offer that is wrong in itself
            raise BadMessage(f"the offer cannot be answered: {type(error).__name__}: {error}") from error
        described = self._connection.localDescription
        return {"sdp": described.sdp, "type": described.type}

    async def close(self) -> None:
        """End the connection."""
        self._edited.stop()
        await self._connection.close()

    async def run(self) -> None:
        """Edit what comes until the page leaves, or its session is closed."""
        try:
            await until_first(
                self._until_gone(), self._sessions.until_end(), self._receive_frames(), self._serve()
            )
        except ClientGone:
            pass
        except Exception as error:  # whatever fails ends this session only
            reason, _ = ending_of(error)
            closed = json.dumps({"type": "closed", "reason": reason})
            with suppress(TimeoutError, ClientGone):
                await self._channel.send_last([*self._outbox.drain(), closed])
        finally:
            await self.close()

    def _take_track(self, track: MediaStreamTrack) -> None:
        self._track = track

    def _take_channel(self, channel: RTCDataChannel) -> None:
        if channel.label == "control":
            self._channel.open(channel)
        else:
            channel.close()

    def _notice_state(self) -> None:
        if self._connection.connectionState in OVER:
            self._gone.set()

    async def _until_gone(self) -> None:
        await self._gone.wait()
        raise ClientGone

    async def _receive_frames(self) -> None:
        """Take every frame at once: aiortc keeps all that were not taken, without a limit."""
        assert self._track is not None
        while True:
            try:
                frame = await self._track.recv()
            except MediaStreamError:
                raise ClientGone from None
            assert isinstance(frame, av.VideoFrame)
            if max(frame.width, frame.height) > self._limits.side:
                raise Ended(f"a frame may have {self._limits.side} pixels a side, and a larger one came")
            if self._live is not None:
                self._live.take_frame(frame)

    async def _serve(self) -> None:
        try:
            async with asyncio.timeout(self._limits.open_seconds):
                await self._channel.opened.wait()
        except TimeoutError:
            raise Ended(f"no connection within {self._limits.open_seconds} seconds") from None
        async with self._sessions.session(self._settings, self._outbox, self.name) as live:
            self._live = live
            width, height = self._sessions.size
            await until_first(
                live.push_frames(partial(_source_and_strip, Fit((width, height + STRIP)))),
                self._show_blocks(live),
                self._read_messages(live),
                self._send_messages(),
            )

    async def _show_blocks(self, live: LiveSession[av.VideoFrame]) -> None:
        async for block in live.blocks():
            self._edited.show(block)

    async def _read_messages(self, live: LiveSession[av.VideoFrame]) -> None:
        while True:
            await live.receive(await self._channel.receive())

    async def _send_messages(self) -> None:
        while True:
            await self._channel.send(await self._outbox.take())


def _source_and_strip(fit: Fit, frame: av.VideoFrame) -> tuple[Picture, Picture]:
    return cut(fit(frame).permute(1, 2, 0).numpy())
