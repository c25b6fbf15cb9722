"""A part of a clip, as a user writes it: `2s-5s`, `-5s`, `2s-`, `12f-40f`."""

import re
from fractions import Fraction

import attrs

from lipar.bounds import shown
from lipar.video.errors import VideoError

HOW = "write it as 2s-5s, -5s, 2s- or, in frames, 12f-40f"
_MOMENT = re.compile(r"(?:(\d{1,6}(?:\.\d{1,9})?)s|(\d{1,9})f)", re.ASCII)


@attrs.frozen
class Moment:
    """A moment of a clip, counted from its first frame."""

    seconds: Fraction | None = None
    """None: it is a frame."""
    frame: int | None = None
    """Index from 0; None: it is a time."""

    @classmethod
    def of(cls, text: str) -> "Moment":
        """Read `2.5s` or `40f`.

        Args:
            text: as a user writes it.

        Raises:
            VideoError: it is neither.
        """
        found = _MOMENT.fullmatch(text.strip())
        if found is None:
            raise VideoError(
                f"{shown(text)} is no moment of a clip; write seconds as 2.5s, or a frame as 40f"
            )
        seconds, frame = found.groups()
        return cls(Fraction(seconds)) if seconds is not None else cls(frame=int(frame))

    def __str__(self) -> str:
        return f"{self.frame}f" if self.seconds is None else f"{float(self.seconds):g}s"


START = Moment(Fraction(0))


@attrs.frozen
class Part:
    """The frames of a clip from a moment on and before another; frame 40 is not in `12f-40f`."""

    begin: Moment = START
    end: Moment | None = None
    """None: the end of the clip."""

    @classmethod
    def of(cls, text: str) -> "Part":
        """Read what a user writes.

        Args:
            text: two moments with `-` between them, of which one may be left out.

        Raises:
            VideoError: it is no part of a clip, or an empty one.
        """
        first, dash, last = text.partition("-")
        if not dash or not (first.strip() or last.strip()):
            raise VideoError(f"{shown(text)} is no part of a clip; {HOW}")
        try:
            part = cls(
                Moment.of(first) if first.strip() else START, Moment.of(last) if last.strip() else None
            )
        except VideoError as error:
            raise VideoError(f"{shown(text)} is no part of a clip; {HOW}") from error
        if part._is_empty():
            raise VideoError(f"the part {shown(text)} ends before it begins, or where it begins; {HOW}")
        return part

    def _is_empty(self) -> bool:
        if self.end is None:
            return False
        if self.begin.seconds is not None and self.end.seconds is not None:
            return self.end.seconds <= self.begin.seconds
        if self.begin.frame is not None and self.end.frame is not None:
            return self.end.frame <= self.begin.frame
        return self.end in (START, Moment(frame=0))

    def __str__(self) -> str:
        return f"{'' if self.begin == START else self.begin}-{'' if self.end is None else self.end}"
