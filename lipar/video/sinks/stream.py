"""Video on the standard output: Matroska, as `ffmpeg -f matroska -` writes it, or raw pictures."""

import sys
from fractions import Fraction
from pathlib import Path
from typing import Protocol, runtime_checkable

import av

from lipar.video.colour import UNSPECIFIED, Colour, resolve_colour
from lipar.video.convert import is_rgb
from lipar.video.errors import VideoError, explain
from lipar.video.sinks.pictures import PictureSink
from lipar.video.sources.raw import blank_picture, raw_codec
from lipar.video.sources.raw_format import RawFormat
from lipar.video.writer import VideoWriter

STANDARD_OUTPUT = Path("-")


@runtime_checkable
class Writable(Protocol):
    """What is used of the standard output."""

    def write(self, data: bytes, /) -> int:
        """Write bytes."""

    def flush(self) -> None:
        """Pass them on at once."""


class _Unseekable:
    """A file without `seek`, so that ffmpeg writes what a reader of a pipe can use."""

    def __init__(self, file: Writable) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        written = self._file.write(data)
        self._file.flush()
        return written


def standard_output() -> Writable:
    """The standard output, for bytes.

    Raises:
        VideoError: it is a terminal.
    """
    if sys.stdout.isatty():
        raise VideoError(
            "the standard output is a terminal, which shows no video; write it into a pipe or a file"
        )
    return sys.stdout.buffer


def failed_writing(error: Exception, frames: int | None) -> Exception:
    """What is raised where the standard output cannot be written to; the end of its reader is no error of the video.

    Args:
        error: of the system or ffmpeg.
        frames: how many were written before.
    """
    if isinstance(error, BrokenPipeError):
        return BrokenPipeError(*error.args)
    return explain(error, Path("the standard output"), frames)


class StreamWriter(VideoWriter):
    """Writes Matroska to the standard output, sound and subtitles included; every frame as soon as it is encoded."""

    def _checked(self, path: Path) -> Path:
        self._file = standard_output()
        # for messages, and the container that a codec is checked against
        return Path("stdout.mkv")

    def _explained(self, error: Exception, frames: int | None = None) -> Exception:
        return failed_writing(error, frames)

    def _open_container(self) -> av.container.OutputContainer:
        return av.open(_Unseekable(self._file), "w", format="matroska", options={"flush_packets": "1"})


class RawSink(PictureSink):
    """Writes raw pictures to the standard output, one after another, as `ffmpeg -f rawvideo -` does.

    Args:
        size: width and height.
        pixel_format: by ffmpeg's name.
        colour: of the source, whose matrix YUV pictures have.

    Raises:
        VideoError: there is no such pixel format, or the standard output is a terminal.
    """

    def __init__(self, size: tuple[int, int], pixel_format: str, colour: Colour) -> None:
        form = RawFormat(width=size[0], height=size[1], pixel_format=pixel_format)
        self._file = standard_output()
        self._encoder = raw_codec(form, "w")
        rgb = is_rgb(blank_picture(form))
        super().__init__(
            "stdout",
            size,
            pixel_format="gbrp" if rgb else pixel_format,
            colour=colour.for_rgb() if rgb else _untagged(size, colour),
        )

    def _begin(self) -> None:
        pass

    def _put(self, picture: av.VideoFrame, pts: int, duration: int) -> None:
        picture.pts, picture.time_base = self.frames_written, Fraction(1, 25)
        try:
            for packet in self._encoder.encode(picture):
                self._file.write(bytes(packet))
            self._file.flush()
        except OSError as error:
            raise failed_writing(error, self.frames_written) from error

    def _finish(self) -> None:
        pass

    def _drop(self) -> None:
        pass  # what a reader has got cannot be taken back


def _untagged(size: tuple[int, int], colour: Colour) -> Colour:
    """The colour that a reader of raw YUV assumes, who sees no tags."""
    return resolve_colour(
        matrix=UNSPECIFIED,
        colour_range=0,
        primaries=colour.primaries,
        transfer=colour.transfer,
        is_rgb=False,
        width=size[0],
        height=size[1],
    )
