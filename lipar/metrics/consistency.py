"""Whether what moves, and what stands still, stays itself: after VBench (Huang et al. 2023, arXiv 2311.17982).

The formula is VBench's: for each frame after the first, the mean of its cosine with the first frame and with the frame
before it, negative ones as 0; then the mean of frames. Two things differ, and so do the figures. VBench compares
features of the whole frame, DINO's for the subject and CLIP's for the background. Here only a region of the frame
counts, the subject's or the background's, and the feature is whichever is given; its name stands in the figure's label.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from lipar.metrics.features import ColourGradientGrid, Feature, Region
from lipar.metrics.stillness import PixelClip, still_pixels

OtherRegion = Bool[Tensor, "region_height region_width"]

MOVING_SHARE = 0.05
"""Share of frames above which a pixel that moves in them is the subject's: a key frame's flicker must not count."""
SMALLEST_SHARE = 0.01
"""Share of the picture below which a region is too small to say anything."""
DEFAULT_FEATURE = ColourGradientGrid()


def regions(source: PixelClip) -> tuple[Region, Region]:
    """Subject and background: pixels where the source moves, and where it is still. They are the whole picture.

    Args:
        source: pixels in [0, 1], two frames or more. Where the camera moves, everything is subject.
    """
    moving = (~still_pixels(source)[1:]).double().mean(0) > MOVING_SHARE
    return moving, ~moving


def subject_consistency(
    clip: PixelClip, source: PixelClip, feature: Feature = DEFAULT_FEATURE
) -> float | None:
    """Consistency of what moves in the source, from 0 to 1; None where nothing moves.

    Args:
        clip: the result, pixels in [0, 1].
        source: the clip that says what moves, of the same size.
        feature: what is compared.
    """
    return consistency(clip, regions(source)[0], feature) if len(source) > 1 else None


def background_consistency(
    clip: PixelClip, source: PixelClip, feature: Feature = DEFAULT_FEATURE
) -> float | None:
    """Consistency of what is still in the source, from 0 to 1; None where everything moves.

    Args:
        clip: the result, pixels in [0, 1].
        source: the clip that says what is still, of the same size.
        feature: what is compared.
    """
    return consistency(clip, regions(source)[1], feature) if len(source) > 1 else None


def consistency(clip: PixelClip, region: OtherRegion, feature: Feature = DEFAULT_FEATURE) -> float | None:
    """Mean over frames of the cosines with the first frame and with the one before; None for one frame or no region.

    Args:
        clip: pixels in [0, 1].
        region: True where the picture counts.
        feature: what is compared.

    Raises:
        ValueError: the region has another size than the pictures.
    """
    if region.shape != clip.shape[-2:]:
        raise ValueError(
            f"a region has a value for each pixel, {list(clip.shape[-2:])} (height, width); "
            f"got {list(region.shape)}"
        )
    if len(clip) < 2 or float(region.double().mean()) < SMALLEST_SHARE:
        return None
    with torch.inference_mode():
        vectors = F.normalize(feature(clip, region).double(), dim=-1)
        first, before, now = vectors[:1], vectors[:-1], vectors[1:]
        cosines = [(now * other).sum(-1).clamp(0, 1) for other in (first, before)]
        return float((cosines[0] + cosines[1]).mean() / 2)
