"""Clips that a program draws from a seed, with captions, looks and exactly rendered edits.

The tiny model is trained on them (`tiny/recipe`), and ablations and calibrations measure on held-out ones.
"""

import attrs
from jaxtyping import Float
from torch import Tensor


@attrs.frozen(eq=False, kw_only=True)
class ExactEdit:
    """A clip in [0, 1], a prompt, and the clip that the prompt asks for."""

    name: str
    prompt: str
    pixels: Float[Tensor, "pixel_frames 3 height width"]
    """The source, with sensor noise."""
    target: Float[Tensor, "pixel_frames 3 height width"]
    """The edit, rendered without noise."""
    kind: str
    """`still camera` or `moving camera`."""
