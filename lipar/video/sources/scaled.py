"""Pictures that do not come from a video file, as the pixel frames of a source."""

import warnings
from abc import ABC, abstractmethod
from fractions import Fraction

import av
from av.video.reformatter import VideoReformatter

from lipar.video.colour import Colour
from lipar.video.convert import frame_to_rgb, has_alpha, is_rgb, on_black
from lipar.video.errors import VideoWarning
from lipar.video.frames import PixelFrame


class PictureSource(ABC):
    """What sources of pictures share: scaling, times, and that there is no sound.

    A subclass gives the frames by `__next__`, each made by `_frame`.

    Args:
        name: for messages.
        shown_size: width and height of the pictures.
        time_base: seconds per tick of their times.
        frame_rate: frames per second.
        colour: how their pixels are coded.
        count: how many there are; None: not known.

    Attributes:
        keeps_originals: set it before the first frame is taken to get scaled frames with their originals.
    """

    sound = None
    live = False

    def __init__(
        self,
        name: str,
        shown_size: tuple[int, int],
        *,
        time_base: Fraction,
        frame_rate: Fraction | None,
        colour: Colour,
        count: int | None,
    ) -> None:
        self.name, self.shown_size, self.size = name, shown_size, shown_size
        self.time_base, self.frame_rate, self.colour, self.count = time_base, frame_rate, colour, count
        self.keeps_originals = self._stopped = self._resized = False
        self._index = 0
        self._scaler, self._alpha_scaler = VideoReformatter(), VideoReformatter()
        self._original_scaler = VideoReformatter()

    def _frame(self, picture: av.VideoFrame, pts: int, duration: int) -> PixelFrame:
        stored = (picture.width, picture.height)
        if stored != self.shown_size and not self._resized:
            self._resized = True
            self._warn(
                f"{self.name} changes its size from {self.shown_size[0]}x{self.shown_size[1]} to "
                f"{stored[0]}x{stored[1]} at frame {self._index}; all frames are scaled to the first size"
            )
        if has_alpha(picture):
            picture = on_black(picture, self._alpha_scaler) or picture
        # a shown picture with transparency has become RGB
        colour = RGB if is_rgb(picture) else self.colour
        rgb = frame_to_rgb(picture, colour, self.size, self._scaler)
        original = None
        if self.keeps_originals and self.size != self.shown_size:
            original = frame_to_rgb(picture, colour, self.shown_size, self._original_scaler)
        frame = PixelFrame(
            rgb=rgb,
            pts=pts,
            duration=duration,
            time_base=self.time_base,
            index=self._index,
            original=original,
        )
        self._index += 1
        return frame

    def _warn(self, message: str) -> None:
        warnings.warn(message, VideoWarning, stacklevel=4)

    def __iter__(self) -> "PictureSource":
        return self

    @abstractmethod
    def __next__(self) -> PixelFrame:
        """The next frame."""

    def stop(self) -> None:
        """End the iteration at the next frame."""
        self._stopped = True

    def close(self) -> None:  # noqa: B027 - most have nothing to close
        """Nothing is open between frames."""


RGB = Colour(matrix="rgb", full_range=True)
"""Of pictures that are stored as red, green and blue."""
