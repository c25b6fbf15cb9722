"""From a file to its packets, with times on one clock; parts that cannot be read are left out."""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import av
from av.format import Flags

from lipar.files.places import NO_VIDEO, check_source
from lipar.video.errors import VideoError
from lipar.video.timeline import AnyPacket, Timeline

if TYPE_CHECKING:
    VideoPacket: TypeAlias = av.Packet[av.VideoStream]
    AudioPacket: TypeAlias = av.Packet[av.AudioStream]
else:  # generic in the stubs only
    VideoPacket = AudioPacket = av.Packet

# text and other files that ffmpeg would render as pictures
NOT_VIDEO = {"tty", "bin", "xbin", "adf", "idf"}
CLOCK_MAY_JUMP = cast(int, Flags.ts_discont.value)
GIVE_UP_AFTER = 32  # failed reads in a row


def open_container(path: Path) -> av.container.InputContainer:
    """Open a file for reading.

    Raises:
        VideoError: it is missing, empty, or no video; the message says which.
    """
    check_source(path)
    try:
        # with the prefix, a name with a colon is not read as a protocol
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


def main_video_stream(container: av.container.InputContainer) -> av.VideoStream | None:
    """The video stream that players show; None if there is none, or only the cover picture of a song."""
    cover = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & cover]
    default = (s for s in streams if s.disposition & av.stream.Disposition.default)
    return next(default, streams[0] if streams else None)


def codec_name(stream: av.stream.Stream) -> str:
    """Name of the format in ffmpeg, independent of the decoder (`mp3`, not `mp3float`)."""
    context = cast("av.CodecContext | None", stream.codec_context)
    return context.codec.canonical_name if context is not None else "unknown"


def is_playable(stream: av.AudioStream) -> bool:
    """Whether the codec of a track is known and its header valid."""
    known = cast("av.AudioCodecContext | None", stream.codec_context)
    return known is not None and known.sample_rate > 0 and known.channels > 0


class Packets:
    """An iterator over the packets of the main video stream and of all sound, in the order of the file.

    All readers of a file read the same streams, so that they get the same times where its clock is broken.

    Args:
        container: open for reading, at its beginning.
        others: further streams to read, which do not affect the clock.

    Attributes:
        unreadable: how many reads failed.
        last_error: the message of the last failed read.
        read_bytes: offset in the file at which the last packet ended, None if unknown.
        timeline: counts restarts of the file's clock.
    """

    def __init__(
        self, container: av.container.InputContainer, others: Sequence[av.stream.Stream] = ()
    ) -> None:
        video = main_video_stream(container)
        sound = [stream for stream in container.streams.audio if is_playable(stream)]
        self._container = container
        self._streams: list[av.stream.Stream] = [*([video] if video else []), *sound, *others]
        self.unreadable = 0
        self.read_bytes: int | None = None
        self.last_error = "no packet of it could be read"
        self.timeline = Timeline(jumps_ahead=bool(container.format.flags & CLOCK_MAY_JUMP))

    def __iter__(self) -> Iterator[AnyPacket]:
        return self.timeline.continuous(self._read())

    def _read(self) -> Iterator[AnyPacket]:
        failures = 0
        while self._streams and failures < GIVE_UP_AFTER:
            try:
                for packet in self._container.demux(self._streams):
                    failures = 0
                    if not packet.size:
                        continue  # the empty packets at the end
                    if packet.pos is not None:
                        self.read_bytes = max(self.read_bytes or 0, packet.pos + packet.size)
                    yield packet
                return
            except IndexError:
                return  # the end, as PyAV 18 reports it if a track appeared in the middle of the file
            except (av.error.FFmpegError, OSError) as error:
                failures += 1
                self.unreadable += 1
                self.last_error = getattr(error, "strerror", None) or str(error)


def seconds(ticks: int | None, time_base: Fraction | None) -> Fraction | None:
    """A time in seconds; None if it is unknown.

    Args:
        ticks: the time in units of `time_base`.
        time_base: seconds per tick.
    """
    return None if ticks is None or time_base is None else ticks * time_base
