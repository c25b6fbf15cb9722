"""A moment of a clip, as a user writes it: `2.5s` or `40f`."""

import re
from decimal import Decimal
from fractions import Fraction

import attrs

from lipar.bounds import shown
from lipar.video.errors import VideoError

_FORM = re.compile(r"(?:(\d{1,9}(?:\.\d{1,9})?)s|(\d{1,9})f)", re.ASCII)


@attrs.frozen
class Moment:
    """A moment of a clip, counted from its first frame."""

    seconds: Fraction | None = None
    """None: it is a frame."""
    frame: int | None = None
    """Index of a pixel frame, from 0; None: it is a time."""

    @classmethod
    def of(cls, text: str) -> "Moment":
        """Read `2.5s` or `40f`.

        Args:
            text: as a user writes it.

        Raises:
            VideoError: it is neither.
        """
        found = _FORM.fullmatch(text.strip())
        if found is None:
            raise VideoError(
                f"{shown(text)} is no moment of a clip; write seconds as 2.5s, or a frame as 40f: frames are whole"
            )
        seconds, frame = found.groups()
        return cls(Fraction(seconds)) if seconds is not None else cls(frame=int(frame))

    @property
    def is_begin(self) -> bool:
        """Whether it is that of the first frame."""
        return not (self.seconds or self.frame)

    def is_over(self, frame: int, seconds: Fraction) -> bool:
        """Whether a frame, shown so many seconds after the first one, is at this moment or after it."""
        if self.frame is not None:
            return frame >= self.frame
        assert self.seconds is not None
        return seconds >= self.seconds

    def __str__(self) -> str:
        if self.seconds is None:
            return f"{self.frame}f"
        # exact, since it was read from decimals
        return f"{Decimal(self.seconds.numerator) / self.seconds.denominator:f}s"


BEGIN = Moment(Fraction(0))
