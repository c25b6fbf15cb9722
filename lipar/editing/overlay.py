"""Pictures of the result at their final size, and with the pruned tokens shaded."""

import torch
import torch.nn.functional as F
from torch import Tensor

TINT = torch.tensor([0.10, 0.16, 0.34])[:, None, None]
"""Colour of the shade, a dark blue, `3 1 1` in [0, 1]."""
OPACITY = 0.62
"""Share of the shade in a pruned place."""


def resize(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """A picture at another size, bicubic with antialiasing.

    Args:
        rgb: `3 height width`, in [0, 1].
        size: width and height.
    """
    width, height = size
    if rgb.shape[-2:] == (height, width):
        return rgb
    scaled = F.interpolate(rgb[None], (height, width), mode="bicubic", align_corners=False, antialias=True)
    return scaled[0].clamp(0, 1)


def shade(rgb: Tensor, keep: Tensor) -> Tensor:
    """Darken the pruned tokens of a picture, so that the computed ones stand out.

    Args:
        rgb: `3 height width`, in [0, 1].
        keep: `rows cols` of tokens, True where computed.
    """
    pruned = F.interpolate((~keep)[None, None].float(), rgb.shape[-2:], mode="nearest")[0]
    return rgb * (1 - OPACITY * pruned) + OPACITY * pruned * TINT
