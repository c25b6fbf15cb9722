"""A block of a session: the edited pictures, and what they were made of."""

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

Pictures = npt.NDArray[np.uint8]
"""`frames height width 3`, RGB."""


@attrs.frozen(eq=False, kw_only=True)
class LiveBlock:
    """A finished block of a session."""

    index: int
    """From 0, over the whole session."""
    run: int
    """How often caches were forgotten before it, by a reset or by settings that need a new run."""
    pictures: Pictures
    """The edit; where settings ask for the overlay, shaded in what was not computed."""
    sources: Pictures
    """The frames that were edited, at the size processed."""
    stamps: tuple[Any, ...]
    """Of each frame, what came with it."""
    interval: float
    """Seconds from one frame to the next."""
    prompt: str
    kept_fraction: float
    """Of its tokens, 0..1."""
    stages: dict[str, float]
    """Seconds per stage, by name."""
    seconds: float
    """From the moment all its frames had come until it was finished; other sessions' turns included."""
    latency: float
    """Seconds from the arrival of its newest frame until it was finished."""
