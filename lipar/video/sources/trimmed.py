"""A part of a source that cannot be sought in: what comes before is read and dropped."""

import attrs

from lipar.video.errors import VideoError
from lipar.video.frame_source import FrameSource
from lipar.video.frames import PixelFrame
from lipar.video.moment import Moment
from lipar.video.sources.part import Part


class Trimmed:
    """The frames of a source from a moment on and before another, with times that begin at 0.

    Args:
        source: is read from its beginning.
        part: of it.

    Raises:
        VideoError: the source is known to end before the part begins.
    """

    sound = None

    def __init__(self, source: FrameSource, part: Part) -> None:
        self._source, self._part = source, part
        self._first: PixelFrame | None = None
        self._origin: PixelFrame | None = None
        total = source.count
        if total is not None and self._index(part.begin, total) >= total:
            raise VideoError(f"{source.name} has {total} frames, and the part {part} begins after them")
        ends = [total] if part.end is None else [total, self._index(part.end, total)]
        known = [end for end in ends if end is not None]
        self.count = max(1, min(known) - self._index(part.begin, total)) if known else None

    def _index(self, moment: Moment, total: int | None) -> int:
        """The frame at a moment, at an even rate."""
        if moment.frame is not None:
            return moment.frame
        assert moment.seconds is not None
        return round(moment.seconds * self._source.frame_rate) if self._source.frame_rate else 0

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the frames."""
        return self._source.size

    @size.setter
    def size(self, size: tuple[int, int]) -> None:
        self._source.size = size

    @property
    def keeps_originals(self) -> bool:
        """Whether scaled frames come with their originals."""
        return self._source.keeps_originals

    @keeps_originals.setter
    def keeps_originals(self, keeps: bool) -> None:
        self._source.keeps_originals = keeps

    name = property(lambda self: self._source.name)
    shown_size = property(lambda self: self._source.shown_size)
    time_base = property(lambda self: self._source.time_base)
    frame_rate = property(lambda self: self._source.frame_rate)
    colour = property(lambda self: self._source.colour)
    live = property(lambda self: self._source.live)

    def __iter__(self) -> "Trimmed":
        return self

    def __next__(self) -> PixelFrame:
        """The next frame of the part.

        Raises:
            VideoError: the source ended before the part.
        """
        for frame in self._source:
            if self._first is None:
                self._first = frame
            if self._is_before(frame, self._part.begin):
                continue
            if self._part.end is not None and not self._is_before(frame, self._part.end):
                break
            if self._origin is None:
                self._origin = frame
            return attrs.evolve(
                frame, pts=frame.pts - self._origin.pts, index=frame.index - self._origin.index
            )
        if self._origin is None:
            raise VideoError(f"{self.name} has no frame in the part {self._part}")
        raise StopIteration

    def _is_before(self, frame: PixelFrame, moment: Moment) -> bool:
        assert self._first is not None
        return not moment.is_over(frame.index, frame.time - self._first.time)

    def stop(self) -> None:
        """End the iteration of the source."""
        self._source.stop()

    def close(self) -> None:
        """Close the source."""
        self._source.close()
