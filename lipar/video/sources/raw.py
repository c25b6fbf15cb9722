"""Raw video: pictures one after another, without a container."""

from fractions import Fraction
from typing import Literal

import av

from lipar.video.colour import UNSPECIFIED, resolve_colour
from lipar.video.convert import is_rgb
from lipar.video.errors import VideoError
from lipar.video.frames import PixelFrame
from lipar.video.sources.raw_format import USUAL_RATE, RawFormat
from lipar.video.sources.scaled import PictureSource
from lipar.video.sources.stream_input import StreamInput


class RawSource(PictureSource):
    """A source of raw video, such as `ffmpeg -f rawvideo` writes, with one picture in memory.

    Colours without tags are read as players read them: BT.709 from 1280x720 on, BT.601 below, limited range.

    Args:
        stream: where the bytes come from.
        form: size, pixel format and rate.
        frame_rate: frames per second where the format has none; None: 25.

    Raises:
        VideoError: there is no such pixel format, or not one whole picture comes.
    """

    live = True

    def __init__(self, stream: StreamInput, form: RawFormat, frame_rate: Fraction | None = None) -> None:
        self._stream = stream
        self._decoder, blank = raw_codec(form, "r"), blank_picture(form)
        self._bytes = picture_bytes(form)
        rate = form.frame_rate or frame_rate or USUAL_RATE
        super().__init__(
            stream.name,
            (form.width, form.height),
            time_base=1 / rate,
            frame_rate=rate,
            colour=resolve_colour(
                matrix=UNSPECIFIED,
                colour_range=0,
                primaries=UNSPECIFIED,
                transfer=UNSPECIFIED,
                is_rgb=is_rgb(blank),
                width=form.width,
                height=form.height,
            ),
            count=None,
        )
        self._first: bytes | None = self._read()
        if self._first is None:
            stream.close()
            raise VideoError(
                f"{stream.name} ended before the first picture of {form.width}x{form.height} {form.pixel_format} "
                f"({self._bytes} bytes) was complete; {stream.taken} bytes came"
            )

    def _read(self) -> bytes | None:
        data = self._stream.read(self._bytes)
        if len(data) == self._bytes:
            return data
        if data and self._stream.taken > len(data) and not self._stopped:
            self._warn(
                f"{self.name} ends in the middle of a picture: {len(data)} of {self._bytes} bytes came, which are left "
                "out; are size and pixel format those of the sender?"
            )
        return None

    def __next__(self) -> PixelFrame:
        """The next picture; waits for its bytes."""
        data, self._first = self._first, None
        data = data or (None if self._stopped else self._read())
        if data is None:
            raise StopIteration
        picture = self._decoder.decode(av.Packet(data))[0]
        return self._frame(picture, self._index, 1)

    def stop(self) -> None:
        """End the iteration, also where it waits for bytes."""
        super().stop()
        self._stream.stop()

    def close(self) -> None:
        """Close the pipe."""
        self._stream.close()


def raw_codec(form: RawFormat, mode: Literal["r", "w"]) -> av.VideoCodecContext:
    """A decoder or an encoder between raw bytes and pictures.

    Args:
        form: size and pixel format.
        mode: `r` or `w`.

    Raises:
        VideoError: there is no such pixel format.
    """
    blank_picture(form)
    context = av.VideoCodecContext.create("rawvideo", mode)
    context.width, context.height, context.pix_fmt = form.width, form.height, form.pixel_format
    if mode == "w":
        context.time_base = Fraction(1, 25)  # which raw pictures do not store
    context.open(strict=False)
    return context


def blank_picture(form: RawFormat) -> av.VideoFrame:
    """A picture of a format.

    Args:
        form: size and pixel format.

    Raises:
        VideoError: there is no such pixel format, or it is none of pixels in memory.
    """
    try:
        picture = av.VideoFrame(form.width, form.height, form.pixel_format)
    except ValueError as error:
        raise VideoError(
            f"ffmpeg has no pixel format named {form.pixel_format}; usual ones are yuv420p, rgb24, bgr24, rgba and gray"
        ) from error
    if not len(picture.planes):
        raise VideoError(f"pixels of {form.pixel_format} are not in memory; take yuv420p or rgb24")
    return picture


def picture_bytes(form: RawFormat) -> int:
    """Bytes of one picture.

    Args:
        form: size and pixel format.
    """
    picture = blank_picture(form)
    picture.pts = 0
    return sum(packet.size for packet in raw_codec(form, "w").encode(picture))
