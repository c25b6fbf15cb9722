"""The source of frames that a name stands for."""

from pathlib import Path
from typing import Literal

from lipar.video.errors import VideoError
from lipar.video.frame_source import FrameSource
from lipar.video.sources.names import is_pattern, pictures_of
from lipar.video.sources.reading import ALL, Reading
from lipar.video.spool import is_standard_input

Kind = Literal["camera", "raw", "live", "pictures", "file"]
CAMERA = "camera:"


def kind_of(path: Path, reading: Reading) -> Kind:
    """What a user's input is.

    Args:
        path: as it was named.
        reading: what was said about it.

    Raises:
        VideoError: what was said does not fit the kind.
    """
    if str(path).startswith(CAMERA):
        kind: Kind = "camera"
    elif reading.raw is not None:
        kind = "raw"
    elif reading.live:
        kind = "live"
    else:
        kind = "pictures" if path.is_dir() or is_pattern(path) else "file"
    if reading.raw is not None and (kind == "camera" or not _can_be_piped(path)):
        raise VideoError(
            f"--raw describes a pipe or a file without a container, and {path} is something else"
        )
    if reading.live and kind != "live":
        raise VideoError(f"--live is for pipes with a container; {path} is read live without it")
    if kind == "live" and not _can_be_piped(path):
        raise VideoError(
            f"--live is for pipes, such as - for the standard input, and {path} is something else"
        )
    if reading.frame_rate is not None and kind in ("file", "live"):
        raise VideoError(
            f"--fps is for pictures in a folder, raw video and cameras; {path} has its own times, which are kept"
        )
    return kind


def _can_be_piped(path: Path) -> bool:
    return is_standard_input(path) or path.is_fifo() or path.is_file()


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
