"""Pictures in a folder, read as the frames of a clip."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from lipar.video.errors import VideoError
from lipar.video.frames import PixelFrame
from lipar.video.pictures import read_picture
from lipar.video.sources.names import natural_order
from lipar.video.sources.raw_format import USUAL_RATE
from lipar.video.sources.scaled import RGB, PictureSource


class PictureFolder(PictureSource):
    """A source of the pictures of a folder, in natural order: `2.png` comes before `10.png`.

    Args:
        name: of the folder, for messages.
        paths: the pictures; of the first, the size is that of the clip.
        frame_rate: frames per second; None: 25.

    Raises:
        VideoError: there is no picture, or the first cannot be read.
    """

    def __init__(self, name: str, paths: Sequence[Path], frame_rate: Fraction | None = None) -> None:
        if not paths:
            raise VideoError(f"{name} holds no picture; the pictures of a clip are .png, .jpg or .webp files")
        self._paths = natural_order(paths)
        rate = frame_rate or USUAL_RATE
        super().__init__(
            name,
            read_picture(self._paths[0]).size,
            time_base=1 / rate,
            frame_rate=rate,
            colour=RGB,
            count=len(paths),
        )

    def __next__(self) -> PixelFrame:
        """The next picture, as a frame.

        Raises:
            VideoError: it cannot be read.
        """
        if self._stopped or self._index == len(self._paths):
            raise StopIteration
        return self._frame(rgb_picture(read_picture(self._paths[self._index])), self._index, 1)


def rgb_picture(picture: object) -> av.VideoFrame:
    """A picture of PIL, of mode RGB, as one of a decoder.

    Args:
        picture: read-only.
    """
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(np.asarray(picture)), "rgb24")
