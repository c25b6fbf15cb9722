"""From a file to decoded pictures; broken parts are left out."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import av

from lipar.files.places import NO_VIDEO
from lipar.video.ending import is_cut_off
from lipar.video.errors import VideoError
from lipar.video.losses import Announced, Losses
from lipar.video.order import DisplayOrder
from lipar.video.packets import (
    Packets,
    VideoPacket,
    codec_name,
    main_video_stream,
    open_container,
    seconds,
)
from lipar.video.timeline import AnyPacket


class Decoder:
    """An iterator over the decoded pictures of a file's main video stream, in the order they are shown.

    Packets that cannot be read or decoded are counted and left out.

    Args:
        path: of the file, or a name for messages.
        live: what to read in place of the file: a pipe or a camera, which is read once and has no known end.
    """

    def __init__(self, path: Path, live: av.container.InputContainer | None = None) -> None:
        self.path = path
        self._whole = live is None
        """Whether all of a file is read."""
        self.container = open_container(path) if live is None else live
        stream = main_video_stream(self.container)
        if stream is None:
            what = "only sound" if self.container.streams.audio else "no video"
            self.container.close()
            raise VideoError(f"{path} holds {what}; {NO_VIDEO}")
        self.stream = stream
        # slices, not frames: with frame threads, an error also loses the frames next to it
        self.stream.thread_type = "SLICE"
        name = self.container.format.name
        self.still = name.endswith("_pipe") or name == "image2"
        self.losses = Losses(
            announced=Announced.by(self.container, stream), codec=codec_name(stream), container=name
        )
        self._last_error: str | None = None
        self._begin()

    def _begin(self) -> None:
        self._packets = Packets(self.container)
        self._order = DisplayOrder(self.stream, self.container.format.name)
        self._next_pts: int | None = None

    def seek(self, pts: int) -> bool:
        """Go to the key frame at or before a time, from which on a new iteration gives the pictures.

        Args:
            pts: in ticks of the stream.

        Returns:
            Whether the file can be sought in.
        """
        self.expect_a_part()
        try:
            self.container.seek(pts, stream=self.stream)
        except (av.error.FFmpegError, OSError):
            return False
        self._begin()
        self._order.trust_the_file()
        return True

    def expect_a_part(self) -> None:
        """Compare nothing with what the file announces of all its pictures."""
        self._whole = False
        announced = Announced(frames=None, end=None, of_pictures=False)
        self.losses = Losses(announced=announced, codec=self.losses.codec, container=self.losses.container)

    def __iter__(self) -> Iterator[av.VideoFrame]:
        for packet in self._packets:
            if packet.stream_index == self.stream.index:
                yield from self._decode(cast(VideoPacket, packet))
            else:
                self._note_sound(packet)
        yield from self._decode(None)  # the pictures that the decoder has delayed

    def _decode(self, packet: VideoPacket | None) -> Iterator[av.VideoFrame]:
        if packet is not None:
            self.losses.packets += 1
            if not packet.is_discard:
                self.losses.shown += 1
                self._order.put(packet)
        try:
            pictures = self.stream.decode(packet)
        except EOFError:
            return
        except (av.error.FFmpegError, ValueError) as error:
            self.losses.undecodable += 1
            self._last_error = getattr(error, "strerror", None) or str(error)
            if packet is not None:
                self._order.forget(packet)
            return
        for picture in pictures:
            self.losses.damaged += picture.is_corrupt
            yield picture

    def _note_sound(self, packet: AnyPacket) -> None:
        start = seconds(packet.pts, packet.time_base)
        if start is not None and packet.time_base is not None:
            end = start + (packet.duration or 0) * packet.time_base
            self.losses.sound_end = max(self.losses.sound_end or end, end)

    def usual_duration(self, picture: av.VideoFrame) -> int:
        """Ticks that a frame lasts when no frame follows it."""
        if picture.duration:
            return int(picture.duration)
        rate, time_base = self.stream.average_rate or self.stream.guessed_rate, self.stream.time_base
        return max(1, round(1 / (rate * time_base))) if rate and time_base else 1

    def pts_of(self, picture: av.VideoFrame) -> int:
        """Ticks at which a picture is shown; where the file does not give it, it follows from the frame before.

        Call it once for each picture, in the order in which they come.
        """
        pts = next(
            (t for t in (self._order.next(), picture.pts, picture.dts, self._next_pts) if t is not None), 0
        )
        self._next_pts = pts + self.usual_duration(picture)
        return int(pts)

    def no_frame_message(self) -> str:
        """The message for a file of which no frame can be decoded."""
        reason = self._last_error or self._packets.last_error
        return (
            f"{self.path} has a video track, but not one frame of it can be decoded ({reason}); "
            "copy it again, or convert it to H.264 first"
        )

    def problems(self) -> str | None:
        """What was wrong with the file, as a message, after the last frame; None if nothing was."""
        timeline = self._packets.timeline
        unread = self._whole and is_cut_off(self.path, self.container.format.name, self._packets.read_bytes)
        return self.losses.message(
            self.path.name,
            cut_off=unread or self._packets.unreadable > 0,
            restarts=timeline.restarts,
            skipped=timeline.skipped,
        )

    def close(self) -> None:
        """Close the file."""
        self.container.close()
