"""From a file to decoded pictures, past whatever is broken in it."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import av

from lipar.video.errors import VideoError

if TYPE_CHECKING:
    VideoPacket: TypeAlias = av.Packet[av.VideoStream]
    AudioPacket: TypeAlias = av.Packet[av.AudioStream]
else:  # generic in the stubs only
    VideoPacket = AudioPacket = av.Packet

# text and other files that ffmpeg would draw as pictures of letters
NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf"}
GIVE_UP_AFTER = 32  # failed reads in a row
NO_VIDEO = "give a video file such as .mp4, .mov, .mkv or .webm"


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file for reading, or say why it is not a video."""
    if not path.exists():
        raise VideoError(f"no such file: {path}")
    if path.is_dir():
        raise VideoError(f"{path} is a directory; {NO_VIDEO}")
    if path.is_file() and path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes); copy or download it again")
    try:
        # the prefix keeps a name with a colon from being taken for a protocol
        container = av.open(f"file:{path}", "r", metadata_errors="replace")
    except PermissionError as error:
        raise VideoError(f"{path} may not be read: permission denied; check its rights") from error
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(
            f"{path} is no video that can be read, or a part is missing ({reason}); "
            f"{NO_VIDEO}, or copy it again"
        ) from error
    if container.format.name in NOT_VIDEO:
        container.close()
        raise VideoError(f"{path} is a text file, not a video; {NO_VIDEO}")
    return container


def _video_stream(container: av.container.InputContainer, path: Path) -> av.VideoStream:
    cover = av.stream.Disposition.attached_pic
    # the picture on the sleeve of a song is stored as a video stream
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    if not streams:
        what = "only sound" if container.streams.audio else "no video"
        raise VideoError(f"{path} holds {what}; {NO_VIDEO}")
    return next((s for s in streams if s.disposition & av.stream.Disposition.default), streams[0])


def codec_name(stream: av.AudioStream | av.VideoStream) -> str:
    """Give ffmpeg's name of the format, whichever of its decoders reads it (`mp3`, not `mp3float`)."""
    return stream.codec_context.codec.canonical_name


def is_playable(stream: av.AudioStream) -> bool:
    """Whether the codec of a track is known and its header makes sense."""
    known = cast("av.AudioCodecContext | None", stream.codec_context)
    return known is not None and known.sample_rate > 0 and known.channels > 0


class Decoder:
    """An iterator over the decoded pictures of a file's main video stream, in the order they are shown.

    Packets that cannot be read or decoded are counted and left out.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.container = open_container(path)
        try:
            self.stream = _video_stream(self.container, path)
        except VideoError:
            self.container.close()
            raise
        # slices, not frames: with frame threads an error swallows its neighbours
        self.stream.thread_type = "SLICE"
        name = self.container.format.name
        self.still = name.endswith("_pipe") or name == "image2"
        self._packets = self._shown = self._undecodable = self._damaged = self._unreadable = 0
        self._last_error = "no packet of it could be read"
        self._next_pts: int | None = None

    def __iter__(self) -> Iterator[av.VideoFrame]:
        for packet in self._demux():
            if packet is not None and packet.size:
                self._packets += 1
                self._shown += not packet.is_discard
            try:
                pictures = self.stream.decode(packet)
            except EOFError:
                return
            except (av.error.FFmpegError, ValueError) as error:
                self._undecodable += 1
                self._last_error = getattr(error, "strerror", None) or str(error)
                continue
            for picture in pictures:
                self._damaged += picture.is_corrupt
                yield picture

    def _demux(self) -> Iterator[VideoPacket | None]:
        failures = 0
        while failures < GIVE_UP_AFTER:
            packets = self.container.demux(self.stream)
            try:
                for packet in packets:
                    failures = 0
                    yield packet
                return
            except IndexError:
                break  # the end, as PyAV 18 meets it when a track turned up on the way
            except (av.error.FFmpegError, OSError) as error:
                failures += 1
                self._unreadable += 1
                self._last_error = getattr(error, "strerror", None) or str(error)
        yield None  # what the decoder still holds back

    def usual_duration(self, picture: av.VideoFrame) -> int:
        """Ticks that a frame lasts when nothing follows it."""
        if picture.duration:
            return int(picture.duration)
        rate, time_base = self.stream.average_rate or self.stream.guessed_rate, self.stream.time_base
        return max(1, round(1 / (rate * time_base))) if rate and time_base else 1

    def pts_of(self, picture: av.VideoFrame) -> int:
        """Ticks at which a picture is shown; one that the file leaves out follows from the frame before."""
        pts = next((t for t in (picture.pts, picture.dts, self._next_pts) if t is not None), 0)
        self._next_pts = pts + self.usual_duration(picture)
        return int(pts)

    def no_frame_message(self) -> str:
        """Say that there is nothing to see."""
        return (
            f"{self.path} has a video track, but not one frame of it can be decoded ({self._last_error}); "
            "copy it again, or convert it to H.264 first"
        )

    def problems(self, frames: int, end: int) -> list[str]:
        """Say what was wrong, after the last of the `frames` that were decoded; it lasts until pts `end`."""
        name, found = self.path.name, []
        promised = self.stream.frames
        if self._unreadable or promised > self._packets or self._ends_early(end):
            count = f"{frames} of {promised} frames" if promised else f"{frames} frames"
            found.append(
                f"{name} ends early or cannot be read to its end: {count} were decoded and are used; "
                "copy it again if you have the whole file"
            )
        elif self._undecodable and self._shown > frames:
            lost = f"{self._shown - frames} of {self._shown} frames"
            found.append(f"{name} is damaged: {lost} could not be decoded and are left out")
        if self._damaged:
            found.append(
                f"{name} is damaged: {self._damaged} of {frames} frames were decoded with errors "
                "and may look broken"
            )
        return found

    def _ends_early(self, end: int) -> bool:
        """Whether a Matroska file, which counts no frames, stops well before the end that it promises."""
        if "matroska" not in self.container.format.name or not self.container.duration:
            return False
        if self.container.streams.audio:  # the duration may be that of the sound
            return False
        start = self.container.start_time or 0
        promised = Fraction(start + self.container.duration, av.time_base)
        return end * (self.stream.time_base or 0) < promised - max(Fraction(1, 2), promised / 20)

    def close(self) -> None:
        """Let go of the file."""
        self.container.close()


def seconds(ticks: int | None, time_base: Fraction | None) -> Fraction | None:
    """Give a time in seconds, None where it is not known."""
    return None if ticks is None or time_base is None else ticks * time_base
