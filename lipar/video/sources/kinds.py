"""What kind of source a name stands for; nothing heavy is imported for it."""

from pathlib import Path
from typing import Literal

from lipar.video.errors import VideoError
from lipar.video.sources.names import is_pattern
from lipar.video.sources.reading import Reading
from lipar.video.spool import is_standard_input

Kind = Literal["camera", "raw", "live", "pictures", "file"]
CAMERA = "camera:"
"""Begins the name of a camera, such as `camera:/dev/video0`."""


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
