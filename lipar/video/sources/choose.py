"""The source of frames that a name stands for."""

from pathlib import Path

from lipar.video.errors import VideoError
from lipar.video.frame_source import FrameSource
from lipar.video.sources.kinds import Kind, kind_of
from lipar.video.sources.names import pictures_of
from lipar.video.sources.reading import ALL, Reading


def open_source(path: Path, reading: Reading = ALL) -> FrameSource:
    """Open what a user named as an input.

    Args:
        path: a video, a picture, an animation or a folder or pattern of pictures; a pipe, `-` for the standard input;
            or `camera:DEVICE`.
        reading: what else is known about it, and the part of it that is wanted.

    Raises:
        VideoError: it cannot be read, does not fit what was said about it, or has no frame in the part.
    """
    from lipar.video.reader import VideoReader  # PyAV is needed from here on

    kind = kind_of(path, reading)
    if kind == "file" and not is_animation(path):
        return VideoReader(path, part=reading.part)
    source = _opened(path, kind, reading)
    if reading.part is None:
        return source
    from lipar.video.sources.trimmed import Trimmed

    try:
        return Trimmed(source, reading.part)
    except BaseException:
        source.close()
        raise


def is_animation(path: Path) -> bool:
    """Whether a file is an animation that ffmpeg does not read."""
    from lipar.video.sources.webp import is_animated_webp

    return is_animated_webp(path)


def _opened(path: Path, kind: Kind, reading: Reading) -> FrameSource:
    if kind == "file":
        from lipar.video.sources.webp import WebPAnimation

        return WebPAnimation(path)
    if kind == "pictures":
        from lipar.video.sources.folder import PictureFolder

        pictures = pictures_of(path)
        if pictures is None:
            raise VideoError(f"{path} stands for several clips; name one, or edit all of them with -o FOLDER")
        return PictureFolder(path.name, pictures, reading.frame_rate)
    from lipar.video.sources.live import camera, live_pipe

    if kind == "camera":
        return camera(str(path), reading.frame_rate)
    if kind == "live":
        return live_pipe(path)
    from lipar.video.sources.raw import RawSource
    from lipar.video.sources.stream_input import StreamInput

    assert reading.raw is not None
    return RawSource(StreamInput(path), reading.raw, reading.frame_rate)
