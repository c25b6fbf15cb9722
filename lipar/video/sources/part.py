"""A part of a clip, as a user writes it: `2s-5s`, `-5s`, `2s-`, `12f-40f`."""

import attrs

from lipar.bounds import shown
from lipar.video.errors import VideoError
from lipar.video.moment import BEGIN, Moment

HOW = "write it as 2s-5s, -5s, 2s- or, in frames, 12f-40f"
LONGEST = 10**6
"""Seconds; a moment of a part is before that."""


@attrs.frozen
class Part:
    """The frames of a clip from a moment on and before another; frame 40 is not in `12f-40f`."""

    begin: Moment = BEGIN
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
                Moment.of(first) if first.strip() else BEGIN, Moment.of(last) if last.strip() else None
            )
            if any(moment and (moment.seconds or 0) >= LONGEST for moment in (part.begin, part.end)):
                raise VideoError(f"a clip of {LONGEST} seconds is too long")
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
        return self.end.is_begin

    def __str__(self) -> str:
        return f"{'' if self.begin == BEGIN else self.begin}-{'' if self.end is None else self.end}"
