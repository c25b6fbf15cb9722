"""How a source is read, beyond its name."""

from fractions import Fraction

import attrs

from lipar.video.sources.part import Part
from lipar.video.sources.raw_format import RawFormat


@attrs.frozen(kw_only=True)
class Reading:
    """What a user says about a source that it does not say itself."""

    part: Part | None = None
    """Only these frames; None: all."""
    frame_rate: Fraction | None = None
    """Frames per second of pictures in a folder, of raw video or of a camera; None: the usual one."""
    raw: RawFormat | None = None
    """The source is raw video of this format; None: it has a container."""
    live: bool = False
    """A pipe is read while it is written, without a temporary file and without its sound."""


ALL = Reading()
"""The whole of a source that says everything itself."""
