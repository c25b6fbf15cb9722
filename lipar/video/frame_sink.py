"""What an edit writes to: the protocol of every target of frames."""

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Protocol, TypeVar, runtime_checkable

import av
from torch import Tensor

from lipar.video.errors import VideoError

AnySink = TypeVar("AnySink", bound="OrderedSink")  # not `Self`, which the checker of signatures refuses here


@runtime_checkable
class FrameSink(Protocol):
    """A context manager that takes frames one after another, each with its time.

    Leaving the context in the usual way finishes the target; an exception, Ctrl-C included, removes what was begun
    where that is possible. A picture may be shared by sinks of one size and one `pixel_format`.
    """

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of what is written."""

    @property
    def pixel_format(self) -> str:
        """How `picture` stores pixels, by ffmpeg's name; planar, with 8 bits."""

    @property
    def frames_written(self) -> int:
        """How many frames were written."""

    def open(self) -> None:
        """Begin, so that what cannot be written is refused before the long work."""

    def picture(self, rgb: Tensor) -> av.VideoFrame:
        """A picture as it is written, at `size`; the argument is RGB `3 h w`, bytes or floating point in 0..1."""

    def write_picture(self, picture: av.VideoFrame, *, pts: int, duration: int = 0) -> None:
        """Write what `picture` returned, to be shown at `pts`; times are in ticks of the sink's time base."""

    def close(self) -> None:
        """Finish the target; it may be closed twice."""

    def abort(self) -> None:
        """End without a complete target. After `close` this does nothing."""

    def __enter__(self) -> "FrameSink":
        """Open it."""

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish or abort it."""


class OrderedSink(ABC):
    """What the sinks share: the context that opens and ends them, and the order of their frames."""

    frames_written: int
    _last_pts: int | None = None
    """When the frame before is shown."""

    @abstractmethod
    def open(self) -> None:
        """Begin."""

    @abstractmethod
    def close(self) -> None:
        """Finish the target."""

    @abstractmethod
    def abort(self) -> None:
        """End without a complete target."""

    def __enter__(self: AnySink) -> AnySink:
        self.open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()

    def _check_time(self, pts: int) -> None:
        if self._last_pts is not None and pts <= self._last_pts:
            raise VideoError(
                f"frame {self.frames_written} has pts {pts}, but must come after {self._last_pts}; "
                "write frames in the order they are shown"
            )
