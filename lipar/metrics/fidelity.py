"""How near a clip is to another."""

import math

from torch import Tensor


def psnr(a: Tensor, b: Tensor, *, peak: float = 1.0, where: Tensor | None = None) -> float:
    """Peak signal-to-noise ratio in dB; infinite where the two are equal, NaN where nothing is compared.

    Args:
        a: values of any shape, such as pixels in [0, 1].
        b: values of the same shape.
        peak: largest possible difference.
        where: a mask that broadcasts to `a`; None: everything.
    """
    squared = (a.double() - b.double()).square()
    if where is not None:
        squared = squared[where.expand_as(squared)]
    if squared.numel() == 0:
        return math.nan
    error = float(squared.mean())
    return math.inf if error == 0 else 10 * math.log10(peak**2 / error)
