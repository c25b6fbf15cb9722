"""The encoder of a written video: opened in a container, or tried out before long work begins."""

import os
from fractions import Fraction
from typing import cast

import av
from av.codec.codec import Codec as AvCodec
from av.codec.context import Flags

from lipar.video.colour import MATRIX_CODES, Colour
from lipar.video.encoding import CODECS, Encoding
from lipar.video.errors import VideoError

TRIAL = (256, 256)
"""Width and height of the picture with which an encoder is tried; hardware refuses much smaller ones."""


def add_video_stream(
    container: av.container.OutputContainer,
    asked: Encoding,
    *,
    size: tuple[int, int],
    time_base: Fraction,
    frame_rate: Fraction | None,
    colour: Colour,
) -> av.VideoStream:
    """Add the stream of the pictures to a container, with its encoder open.

    Args:
        container: open for writing, without a header yet.
        asked: codec, speed and quality.
        size: width and height of the video.
        time_base: seconds per tick of the pts.
        frame_rate: frames per second on average; None: 25. It tunes the encoder.
        colour: matrix, range and tags.

    Raises:
        VideoError: the encoder does not open: it is not there, or refuses the size.
    """
    rate = max(Fraction(1), min(frame_rate or Fraction(25), Fraction(1000))).limit_denominator(1001)
    try:
        stream = cast(av.VideoStream, container.add_stream(asked.encoder, rate=rate, options=asked.options))
    except ValueError:
        check_encoder(asked)  # says what there is
        raise
    context = stream.codec_context
    stream.pix_fmt = pixel_format(asked, size)
    stream.time_base = time_base
    if asked.codec.startswith("hevc") and "matroska" not in container.format.name:
        context.codec_tag = "hvc1"  # Apple's players show no other
    _configure(context, size, time_base, colour)
    context.framerate = rate  # otherwise x264 takes a tick for a frame and writes the highest level
    _open(context, asked, size)
    return stream


def _configure(
    context: av.VideoCodecContext, size: tuple[int, int], time_base: Fraction, colour: Colour
) -> None:
    context.width, context.height = size
    context.time_base = time_base
    context.flags |= Flags.frame_duration  # so that the last frame has the given duration
    context.colorspace = MATRIX_CODES[colour.matrix]
    context.color_range = 2 if colour.full_range else 1
    context.color_primaries = colour.primaries
    context.color_trc = colour.transfer


def _open(context: av.VideoCodecContext, asked: Encoding, size: tuple[int, int]) -> None:
    os.environ.setdefault("SVT_LOG", "0")  # the AV1 encoder prints on standard error past ffmpeg's log
    try:
        context.open(strict=False)
    except (av.error.FFmpegError, ValueError) as error:
        check_encoder(asked)
        raise VideoError(
            f"{asked.codec} does not take {size[0]}x{size[1]} ({_reason(error)}); write at another size, or with "
            "another codec"
        ) from error


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)


def pixel_format(asked: Encoding, size: tuple[int, int]) -> str:
    """The format, by ffmpeg's name, in which the encoder takes pictures.

    Args:
        asked: the codec.
        size: width and height; 4:2:0 has no odd ones.

    Raises:
        VideoError: the picture is too small, or its size is odd and the encoder takes 4:2:0 alone.
    """
    least = CODECS[asked.codec].least_side
    if min(size) < least:
        raise VideoError(
            f"{asked.codec} takes sides of at least {least} pixels, got {size[0]}x{size[1]}; take codec h264"
        )
    known = [form.name for form in AvCodec(asked.encoder, "w").video_formats or ()]
    if asked.lossless_rgb:
        return CODECS[asked.codec].rgb_format
    odd = any(side % 2 for side in size)
    wanted = ["yuv444p"] if odd else ["yuv420p", "nv12"]
    found = next((name for name in wanted if name in known or not known), None)
    if found is None:
        what = f"no odd sizes, such as {size[0]}x{size[1]}" if odd else "no 8-bit 4:2:0"
        raise VideoError(f"{asked.codec} has {what}; take codec h264")
    return found


def written_format(asked: Encoding, size: tuple[int, int]) -> str:
    """The planar format, by ffmpeg's name, of pictures before they are given to the encoder.

    Args:
        asked: the codec.
        size: width and height; 4:2:0 has no odd ones.
    """
    if asked.lossless_rgb:
        return "gbrp"
    return "yuv444p" if any(side % 2 for side in size) else "yuv420p"


def check_encoder(asked: Encoding) -> None:
    """Refuse an encoder that does not work here: PyAV was built without it, or its hardware is missing.

    Raises:
        VideoError: it does not open; the message lists those that do.
    """
    reason = why_not(asked)
    if reason is None:
        return
    works = [name for name in CODECS if why_not(Encoding.of(name)) is None]
    listed = f"these do: {', '.join(works)}" if works else "none does; install PyAV from its own wheels"
    raise VideoError(f"codec {asked.codec} does not work on this machine ({reason}); {listed}")


def why_not(asked: Encoding) -> str | None:
    """Why an encoder does not open on this machine; None: it does.

    Args:
        asked: codec, speed and quality.
    """
    try:
        context = cast(av.VideoCodecContext, av.VideoCodecContext.create(asked.encoder, "w"))
    except ValueError:
        return f"PyAV was built without {asked.encoder}"
    context.pix_fmt = pixel_format(asked, TRIAL)
    _configure(context, TRIAL, Fraction(1, 25), Colour())
    context.options = asked.options
    os.environ.setdefault("SVT_LOG", "0")
    try:
        context.open(strict=False)
    except (av.error.FFmpegError, ValueError) as error:
        missing = "no such hardware or driver: " if CODECS[asked.codec].hardware else ""
        return missing + _reason(error)
    return None
