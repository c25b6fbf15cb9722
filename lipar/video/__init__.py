"""Reading and writing of video files. PyAV is imported with the first reader or writer, not with the package."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lipar.video.colour import BT709, Colour
    from lipar.video.errors import VideoError, VideoWarning
    from lipar.video.frames import Orientation, PixelFrame
    from lipar.video.info import VideoInfo
    from lipar.video.reader import VideoReader, probe
    from lipar.video.synthetic import synthetic_clip, write_synthetic_clip
    from lipar.video.writer import VideoWriter

_HOMES = {
    "BT709": "colour",
    "Colour": "colour",
    "Orientation": "frames",
    "PixelFrame": "frames",
    "VideoError": "errors",
    "VideoInfo": "info",
    "VideoReader": "reader",
    "VideoWarning": "errors",
    "VideoWriter": "writer",
    "probe": "reader",
    "synthetic_clip": "synthetic",
    "write_synthetic_clip": "synthetic",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


__all__ = [
    "BT709",
    "Colour",
    "Orientation",
    "PixelFrame",
    "VideoError",
    "VideoInfo",
    "VideoReader",
    "VideoWarning",
    "VideoWriter",
    "probe",
    "synthetic_clip",
    "write_synthetic_clip",
]
