"""What sinks that are not video files share."""

from abc import abstractmethod

import av
from av.video.reformatter import VideoReformatter
from torch import Tensor

from lipar.video.colour import Colour
from lipar.video.convert import rgb_to_frame, to_bytes
from lipar.video.errors import VideoError
from lipar.video.frame_sink import OrderedSink


class PictureSink(OrderedSink):
    """A context manager that takes pictures one by one. A subclass writes them: `_put`, `_begin`, `_finish`, `_drop`.

    Args:
        name: for messages.
        size: width and height; frames of another size are scaled to it.
        pixel_format: how pictures come to `_put`, by ffmpeg's name.
        colour: how their pixels are coded.
    """

    def __init__(self, name: str, size: tuple[int, int], *, pixel_format: str, colour: Colour) -> None:
        self.name, self.size, self.pixel_format = name, size, pixel_format
        self.frames_written = 0
        self._colour = colour
        self._scaler = VideoReformatter()
        self._opened = self._closed = False

    def open(self) -> None:
        """Begin; it may be opened twice.

        Raises:
            VideoError: it is closed, or cannot be written to.
        """
        if self._closed:
            raise VideoError(f"{self.name} is closed; frames can only be written before")
        if not self._opened:
            self._opened = True
            self._begin()

    def picture(self, rgb: Tensor) -> av.VideoFrame:
        """A picture as it is written: at the size of the sink.

        Args:
            rgb: `3 h w` on any device, uint8 0..255 or floating point 0..1 (clamped).

        Raises:
            VideoError: it holds NaN.
        """
        bytes_ = to_bytes(rgb[None], self.frames_written)[0]
        return rgb_to_frame(bytes_, self._colour, self.size, self.pixel_format, self._scaler)

    def write_picture(self, picture: av.VideoFrame, *, pts: int, duration: int = 0) -> None:
        """Write what `picture` returned.

        Args:
            picture: of this sink or of another of the same size and format.
            pts: when it is shown; later than the picture before.
            duration: how long it is shown.

        Raises:
            VideoError: it comes too early, or writing fails.
        """
        self.open()
        self._check_time(pts)
        self._put(picture, pts, duration)
        self._last_pts = pts
        self.frames_written += 1

    def close(self) -> None:
        """Finish; it may be closed twice.

        Raises:
            VideoError: no frame was written, or writing fails.
        """
        if self._closed:
            return
        try:
            if self.frames_written == 0:
                raise VideoError(f"no frame was written, so that there is no {self.name}")
            self._finish()
        except BaseException:
            self.abort()
            raise
        self._closed = True

    def abort(self) -> None:
        """Remove what was begun. After `close` this does nothing."""
        if not self._closed:
            self._closed = True
            self._drop()

    @abstractmethod
    def _begin(self) -> None:
        """Called once, before the first picture."""

    @abstractmethod
    def _put(self, picture: av.VideoFrame, pts: int, duration: int) -> None:
        """Write a picture."""

    @abstractmethod
    def _finish(self) -> None:
        """Called once, after the last picture."""

    @abstractmethod
    def _drop(self) -> None:
        """Remove what was begun."""
