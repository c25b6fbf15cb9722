"""Lists of denoise steps as indices of 1000; without torch, so that a config is read quickly."""

from collections.abc import Sequence

TRAIN_STEPS = 1000


def scale_steps(steps: Sequence[int], strength: float) -> list[int]:
    """A step list scaled to begin at `1000 * strength`, in the same proportions.

    Args:
        steps: indices of 1000, falling.
        strength: 0..1.
    """
    first = TRAIN_STEPS * strength
    scaled = (max(1, round(first * step / steps[0])) for step in steps)
    return list(dict.fromkeys(scaled))  # at a very low strength, neighbours become equal
