"""What an edit reads: the protocol of every source of frames."""

from fractions import Fraction
from typing import Protocol, runtime_checkable

from lipar.video.colour import Colour
from lipar.video.frames import PixelFrame
from lipar.video.sound import Sound


@runtime_checkable
class FrameSource(Protocol):
    """An iterator over frames, in the order in which they are shown, each with its time; a frame or two in memory.

    It is iterated in a thread of its own, and closed in the thread that made it.
    """

    size: tuple[int, int]
    """Width and height of the frames; may be set before the first is taken, and is `shown_size` until then."""
    keeps_originals: bool
    """Whether scaled frames come with their originals, at `shown_size`; False until it is set, before the first is
    taken."""

    @property
    def name(self) -> str:
        """For messages."""

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a player shows it."""

    @property
    def count(self) -> int | None:
        """Frames that will come, as far as this is announced; None: not known."""

    @property
    def time_base(self) -> Fraction:
        """Seconds per tick of the frames' pts."""

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second on average; None: not known. Frames need not be evenly spaced."""

    @property
    def colour(self) -> Colour:
        """How its pixels are coded; the result is written alike."""

    @property
    def sound(self) -> Sound | None:
        """Where sound and subtitles are; None: there are none."""

    @property
    def live(self) -> bool:
        """Whether frames come while they are made, with an end that is not known: `stop` is its usual end."""

    def __iter__(self) -> "FrameSource":
        """Itself."""

    def __next__(self) -> PixelFrame:
        """The next frame, scaled to `size`."""

    def stop(self) -> None:
        """Have the iteration end soon, in whatever thread; frames that were taken stay valid."""

    def close(self) -> None:
        """Close the files; it may be closed twice."""
