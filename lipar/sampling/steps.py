"""Lists of denoise steps, as indices of 1000; plain numbers, so that a config is read without torch."""

from collections.abc import Sequence

TRAIN_STEPS = 1000


def scale_steps(steps: Sequence[int], strength: float) -> list[int]:
    """A step list begun at `1000 * strength` instead of at its own first step, in the same proportions."""
    first = TRAIN_STEPS * strength
    scaled = (max(1, round(first * step / steps[0])) for step in steps)
    return list(dict.fromkeys(scaled))  # at a very low strength neighbours fall together
