"""The sink of frames that a name stands for."""

import warnings
from fractions import Fraction
from pathlib import Path

import attrs

from lipar.files.owner import Outputs
from lipar.video.colour import Colour
from lipar.video.encoding import Encoding
from lipar.video.errors import VideoWarning
from lipar.video.frame_sink import FrameSink
from lipar.video.sinks.targets import kind_of_target
from lipar.video.sound import Sound


@attrs.frozen(kw_only=True)
class Written:
    """What a sink has to know of the frames that it will get."""

    size: tuple[int, int]
    """Width and height to write at."""
    time_base: Fraction
    """Seconds per tick of their times."""
    frame_rate: Fraction
    """Frames per second on average."""
    colour: Colour
    """Of the source."""
    sound: Sound | None
    """Of the source; None: there is none."""


def open_sink(
    path: Path, frames: Written, *, encoding: Encoding, outputs: Outputs, raw: str | None = None
) -> FrameSink:
    """Make what a user named as an output.

    Args:
        path: as `target_of` returns it.
        frames: what will be written.
        encoding: codec, speed and quality of a video.
        outputs: publishes or removes a file.
        raw: pixel format of raw video on the standard output; None: it is Matroska.

    Raises:
        VideoError: it cannot be written.
    """
    from lipar.video.sinks.folder import PictureFolderSink
    from lipar.video.sinks.gif import GifWriter
    from lipar.video.sinks.stream import RawSink, StreamWriter
    from lipar.video.writer import VideoWriter

    kind = kind_of_target(path)
    if kind in ("pictures", "gif") or (kind == "stream" and raw is not None):
        _warn_of_sound(path, frames.sound)
    if kind == "pictures":
        return PictureFolderSink(path, frames.size)
    if kind == "gif":
        return GifWriter(path, frames.size, time_base=frames.time_base, outputs=outputs)
    if kind == "stream" and raw is not None:
        return RawSink(frames.size, raw, frames.colour)
    writer = StreamWriter if kind == "stream" else VideoWriter
    return writer(
        path,
        width=frames.size[0],
        height=frames.size[1],
        time_base=frames.time_base,
        frame_rate=frames.frame_rate,
        colour=frames.colour,
        audio_from=frames.sound,
        encoding=encoding,
        outputs=None if kind == "stream" else outputs,
    )


def _warn_of_sound(path: Path, sound: Sound | None) -> None:
    from lipar.video.packets import is_playable, open_container

    if sound is None:
        return
    container = open_container(sound.path)
    try:
        heard = any(is_playable(stream) for stream in container.streams.audio)
    finally:
        container.close()
    if heard:
        warnings.warn(
            f"{path} cannot contain sound; that of the source is left out", VideoWarning, stacklevel=4
        )
