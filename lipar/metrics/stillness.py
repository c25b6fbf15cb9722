"""How steady a clip is where its source is still."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

PixelClip = Float[Tensor, "pixel_frames 3 height width"]
PixelMask = Bool[Tensor, "pixel_frames height width"]

STILL = 2 / 255
"""Mean change from frame to frame, in [0, 1], below which a cell of the source counts as still."""
CELL = 8
"""Side of a cell in pixels."""


def still_pixels(source: PixelClip, cell: int = CELL) -> PixelMask:
    """Pixels in cells whose source hardly changes from the frame before; the first frame has none.

    Args:
        source: in [0, 1].
        cell: side of a cell in pixels; 1 also finds pixels that are equal by chance in what moves.
    """
    change = (source[1:] - source[:-1]).abs().mean(1, keepdim=True)
    cells = F.avg_pool2d(change, cell, ceil_mode=True) < STILL
    still = cells.repeat_interleave(cell, 2).repeat_interleave(cell, 3)
    still = still[:, 0, : source.shape[2], : source.shape[3]]
    return torch.cat([torch.zeros_like(still[:1]), still])


def flicker(clip: PixelClip, still: PixelMask) -> float | None:
    """Mean absolute change from frame to frame on still pixels, in levels of 255; None where there are none."""
    change = (clip[1:] - clip[:-1]).abs().mean(1)[still[1:]]
    return float(change.double().mean() * 255) if change.numel() else None
