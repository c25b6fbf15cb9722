"""Properties of a video file, as a player shows it."""

import struct
from fractions import Fraction
from pathlib import Path

import attrs
import av

from lipar.video.colour import UNSPECIFIED, Colour, resolve_colour
from lipar.video.convert import bit_depth, has_alpha, is_rgb
from lipar.video.cropping import is_cropped
from lipar.video.frames import Orientation, square_pixels
from lipar.video.losses import Announced
from lipar.video.packets import codec_name, is_playable

PROGRESSIVE = 1
"""ffmpeg's number of the field order of progressive video; larger ones are interlaced, 0 is unknown."""


@attrs.frozen(kw_only=True)
class VideoInfo:
    """Properties of a video, known once its first frame has been decoded.

    Attributes:
        width: columns as shown, after rotation and with square pixels.
        height: rows as shown.
        coded_size: width and height as stored.
        orientation: how the stored picture is turned to be shown.
        sample_aspect_ratio: width of a stored pixel over its height.
        frame_count: from the container, or estimated from its duration; None when neither is given.
        frame_rate: frames per second on average, None when unknown; frames need not be evenly spaced.
        duration: seconds, None when unknown.
        time_base: seconds per tick of the frames' pts.
        bit_depth: bits per component.
        colour: matrix, range and tags, guessed by size where the file does not give them.
        pixel_format: ffmpeg's name of how the decoder stores pixels.
        video_codec: ffmpeg's name of the codec.
        audio_codecs: one name per audio track.
        container: ffmpeg's names of the container, with commas between them.
        still: the file is a picture, not a video.
        not_honoured: properties of the pictures that the reader ignores, as text for warnings.
    """

    width: int
    height: int
    coded_size: tuple[int, int]
    orientation: Orientation
    sample_aspect_ratio: Fraction
    frame_count: int | None
    frame_rate: Fraction | None
    duration: Fraction | None
    time_base: Fraction
    bit_depth: int
    colour: Colour
    pixel_format: str
    video_codec: str
    audio_codecs: tuple[str, ...]
    container: str
    still: bool
    not_honoured: tuple[str, ...] = ()

    @property
    def has_audio(self) -> bool:
        """Whether there is at least one audio track."""
        return bool(self.audio_codecs)

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which the stored picture is turned to be shown."""
        return self.orientation.rotation


def side_data(frame: av.VideoFrame, kind: str) -> bytes | None:
    """Side data of a picture; None if it has none of that kind.

    Args:
        frame: a decoded picture.
        kind: name of the kind in PyAV, such as `DISPLAYMATRIX`.
    """
    try:
        return bytes(frame.side_data[kind])  # type: ignore[literal-required] # av's stubs know four
    except (KeyError, ValueError):  # a ValueError where PyAV does not know one of the kinds, such as EXIF
        return None


def _orientation(frame: av.VideoFrame) -> Orientation:
    matrix = side_data(frame, "DISPLAYMATRIX")
    if matrix is not None:
        return Orientation.from_display_matrix(struct.unpack("=9i", matrix[:36]))
    return Orientation.turned(-frame.rotation)


def _aspect_ratio(stream: av.VideoStream) -> Fraction:
    ratio = stream.sample_aspect_ratio or Fraction(1)
    # 0:1 is "unknown"; beyond 8 it is a broken header, which players ignore as well
    return ratio if Fraction(1, 8) <= ratio <= 8 else Fraction(1)


def _colour(frame: av.VideoFrame, stream: av.VideoStream) -> Colour:
    context = stream.codec_context

    def tag(of_frame: int, of_stream: int, unknown: int) -> int:
        return int(of_stream if of_frame == unknown else of_frame)

    full = frame.format.name.startswith("yuvj")
    return resolve_colour(
        matrix=tag(frame.colorspace, context.colorspace, UNSPECIFIED),
        colour_range=2 if full else tag(frame.color_range, context.color_range, 0),
        primaries=tag(frame.color_primaries, context.color_primaries, UNSPECIFIED),
        transfer=tag(frame.color_trc, context.color_trc, UNSPECIFIED),
        is_rgb=is_rgb(frame),
        width=frame.width,
        height=frame.height,
    )


def _not_honoured(
    container: av.container.InputContainer, path: Path | None, stream: av.VideoStream, first: av.VideoFrame
) -> tuple[str, ...]:
    """Properties of the file that change how its pictures should be shown, and that the reader ignores."""
    found = []
    if first.interlaced_frame or stream.codec_context.field_order > PROGRESSIVE:
        found.append("interlaced: lines of two moments stand in each frame; deinterlace it first")
    if side_data(first, "STEREO3D") or stream.metadata.get("stereo_mode", "mono") != "mono":
        found.append("stereoscopic: the pictures for both eyes are used as they are stored")
    if side_data(first, "SPHERICAL"):
        found.append("spherical: it is used as it is stored, without a projection")
    if stream.metadata.get("alpha_mode") == "1" and not has_alpha(first):
        found.append("transparent: the decoder gives it without its transparency")
    if path is not None and is_cropped(path, container.format.name):
        found.append("to be shown cropped, by its container: the whole pictures are used")
    return tuple(found)


def describe(
    container: av.container.InputContainer,
    path: Path | None,
    stream: av.VideoStream,
    first: av.VideoFrame,
    still: bool,
) -> VideoInfo:
    """The properties that container, stream and first decoded frame give.

    Args:
        container: open for reading.
        path: of the file; None: the container is no file that can be read again.
        stream: of the pictures.
        first: the first decoded picture.
        still: whether the file is a picture.
    """
    time_base = stream.time_base or Fraction(1, 90000)
    rate = stream.average_rate or stream.guessed_rate
    duration: Fraction | None = None
    if stream.duration:
        duration = stream.duration * time_base
    elif container.duration:
        duration = Fraction(container.duration, av.time_base)
    announced = Announced.by(container, stream)
    count = announced.frames
    if count is None and announced.end and rate:
        count = round((announced.end - (stream.start_time or 0) * time_base) * rate)
    elif count is None and duration and rate:
        count = round(duration * rate)
    orientation, ratio = _orientation(first), _aspect_ratio(stream)
    width, height = orientation.size(*square_pixels(first.width, first.height, ratio))
    return VideoInfo(
        width=width,
        height=height,
        coded_size=(first.width, first.height),
        orientation=orientation,
        sample_aspect_ratio=ratio,
        frame_count=1 if still else count,
        frame_rate=rate,
        duration=duration,
        time_base=time_base,
        bit_depth=bit_depth(first),
        colour=_colour(first, stream),
        pixel_format=first.format.name,
        video_codec=codec_name(stream),
        audio_codecs=tuple(codec_name(a) for a in container.streams.audio if is_playable(a)),
        container=container.format.name,
        still=still,
        not_honoured=_not_honoured(container, path, stream, first),
    )
