"""What raw video does not say of itself, as a user writes it: `640x480:rgb24@30`."""

import re
from fractions import Fraction

import attrs

from lipar.bounds import shown
from lipar.video.errors import VideoError

USUAL_RATE = Fraction(25)
"""Frames per second where a user names none, as in ffmpeg."""
USUAL_FORMAT = "yuv420p"
"""The pixel format where a user names none, as in ffmpeg."""
MOST_RATE = 1000
_RAW = re.compile(r"(\d{1,5})x(\d{1,5})(?::([a-z0-9_]+))?(?:@([0-9./]+))?", re.ASCII)
_RATE = re.compile(r"\d{1,9}(?:\.\d{1,9}|/[1-9]\d{0,8})?", re.ASCII)


def frame_rate_of(text: str) -> Fraction:
    """Frames per second as a user writes them: `24`, `29.97` or `30000/1001`.

    Args:
        text: a positive number, at most 1000.

    Raises:
        VideoError: it is none.
    """
    rate = Fraction(text) if _RATE.fullmatch(text) else Fraction(0)
    if not 0 < rate <= MOST_RATE:
        raise VideoError(
            f"{shown(text)} is no number of frames per second; write one up to {MOST_RATE}, such as 24, 29.97 or "
            "30000/1001"
        )
    return rate


@attrs.frozen(kw_only=True)
class RawFormat:
    """Size, pixel format and rate of raw video."""

    width: int
    height: int
    pixel_format: str = USUAL_FORMAT
    """By ffmpeg's name."""
    frame_rate: Fraction | None = None
    """Frames per second; None: not given."""

    @classmethod
    def of(cls, text: str) -> "RawFormat":
        """Read `WIDTHxHEIGHT[:pix_fmt][@fps]`.

        Args:
            text: as a user writes it.

        Raises:
            VideoError: it is no such format.
        """
        found = _RAW.fullmatch(text.strip().lower())
        if found is None or not (int(found[1]) and int(found[2])):
            raise VideoError(
                f"{shown(text)} does not describe raw video; write WIDTHxHEIGHT[:pix_fmt][@fps], for instance "
                "640x480:rgb24@30"
            )
        rate = None if found[4] is None else frame_rate_of(found[4])
        return cls(
            width=int(found[1]), height=int(found[2]), pixel_format=found[3] or USUAL_FORMAT, frame_rate=rate
        )
