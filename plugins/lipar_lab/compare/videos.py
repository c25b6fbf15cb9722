"""The clips of a page: the source as it was processed, and pixels as an mp4 that browsers play."""

import tempfile
from fractions import Fraction
from pathlib import Path

import attrs
import torch

from lipar.editing.source import USUAL_FRAME_RATE, model_size
from lipar.metrics.stillness import PixelClip
from lipar.protocols import Model
from lipar.video import VideoReader, VideoWriter
from lipar.video.encoding import Encoding
from lipar.video.frames import even

PAGE_ENCODING = Encoding.of("h264", "medium:20")
"""Differences that pruning makes stay visible, at about half the size of lipar's own default."""


@attrs.frozen(eq=False, kw_only=True)
class SourceClip:
    """A clip at the model's size."""

    pixels: PixelClip
    """RGB in [0, 1]; the clip's own frames only."""
    frame_rate: Fraction
    """Frames per second, on average."""
    file_size: tuple[int, int]
    """Width and height of the file."""


def read_source(model: Model, path: Path) -> SourceClip:
    """A clip as the model processes it.

    Args:
        model: gives the size.
        path: the clip.
    """
    with VideoReader(path) as reader:
        shown = reader.info.width, reader.info.height
        reader.size = model_size(model, shown)
        pixels = torch.stack([frame.unit() for frame in reader])
        rate = reader.info.frame_rate or USUAL_FRAME_RATE
    return SourceClip(pixels=pixels, frame_rate=rate, file_size=shown)


def page_size(width: int, height: int, page_height: int | None) -> tuple[int, int]:
    """Width and height of the videos of a page: both even, since browsers play 4:2:0 only.

    Args:
        width: of the pixels.
        height: of the pixels.
        page_height: height that the user asks for; None: as it is.
    """
    scale = 1.0 if page_height is None else page_height / height
    return even(width * scale), even(height * scale)


def mp4_of(pixels: PixelClip, *, frame_rate: Fraction, size: tuple[int, int]) -> bytes:
    """An mp4 file, H.264 in 4:2:0; frame i begins at i / frame_rate seconds.

    Args:
        pixels: RGB in [0, 1].
        frame_rate: frames per second.
        size: width and height, both even; pixels are scaled to it.
    """
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        with VideoWriter(
            path,
            width=size[0],
            height=size[1],
            time_base=1 / frame_rate,
            frame_rate=frame_rate,
            encoding=PAGE_ENCODING,
        ) as writer:
            for index, frame in enumerate(pixels):
                writer.write(frame, pts=index, duration=1)
        return path.read_bytes()
