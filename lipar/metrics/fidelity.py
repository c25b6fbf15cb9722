"""How near a clip is to another: PSNR, SSIM and MS-SSIM.

The last two are torchmetrics', which is imported when it is used: `pip install "lipar[measure]"`.
"""

import math
from functools import partial
from typing import Any

from jaxtyping import Float
from torch import Tensor

from lipar.metrics.packages import load
from lipar.metrics.pieces import OtherClip, check_smallest, mean_over_frames
from lipar.metrics.stillness import PixelClip

SSIM_SMALLEST = 11
"""Side of SSIM's window, in pixels."""
MS_SSIM_SMALLEST = 176
"""MS-SSIM halves the picture four times, and SSIM's window must then fit: 11 * 2**4."""


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


def ssim(a: PixelClip, b: OtherClip) -> float:
    """Structural similarity, mean over frames and over RGB; 1 where the two are equal.

    Wang et al. 2004: a Gaussian window of 11 pixels with a standard deviation of 1.5, K1 = 0.01, K2 = 0.03, with
    the picture mirrored at its sides.

    Args:
        a: pixels in [0, 1].
        b: a clip of the same size.

    Raises:
        ModuleNotFoundError: torchmetrics is not installed.
        ValueError: the clips differ in size, or the pictures are smaller than the window.
    """
    image = load("torchmetrics", "SSIM", "torchmetrics.functional.image")
    check_smallest(a, SSIM_SMALLEST, "SSIM", "the size of its window")
    return mean_over_frames(partial(_per_frame, image.structural_similarity_index_measure), a, b)


def ms_ssim(a: PixelClip, b: OtherClip) -> float:
    """Structural similarity at five scales, mean over frames; 1 where the two are equal.

    Wang et al. 2003, with their weights. Negative contrast terms count as 0, as their powers are not real. Pictures
    that are too small for five scales are refused: with fewer scales and other weights it is another figure.

    Args:
        a: pixels in [0, 1].
        b: a clip of the same size.

    Raises:
        ModuleNotFoundError: torchmetrics is not installed.
        ValueError: the clips differ in size, or the pictures are too small.
    """
    image = load("torchmetrics", "MS-SSIM", "torchmetrics.functional.image")
    check_smallest(a, MS_SSIM_SMALLEST, "MS-SSIM", "so that its window fits at the fifth scale")
    measure = partial(image.multiscale_structural_similarity_index_measure, normalize="relu")
    return mean_over_frames(partial(_per_frame, measure), a, b)


def _per_frame(measure: Any, a: PixelClip, b: PixelClip) -> Float[Tensor, " pixel_frames"]:
    # float32 rounds the variance of flat parts, by up to 3e-4 of their SSIM; float64 takes ten times as long
    values: Tensor = measure(a.float(), b.float(), data_range=1.0, reduction="none")
    return values.reshape(len(a))  # a single value where there is a single frame
