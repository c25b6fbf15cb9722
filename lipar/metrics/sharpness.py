"""How much detail a clip has, and noise."""

import torch
import torch.nn.functional as F

from lipar.metrics.stillness import PixelClip, PixelMask


def high_frequencies(clip: PixelClip, where: PixelMask | None = None) -> float | None:
    """Mean squared difference of luma and its binomial 3x3 blur; None where nothing is measured."""
    luma = (clip * clip.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    row = luma.new_tensor([0.25, 0.5, 0.25])
    blurred = F.conv2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), torch.outer(row, row)[None, None])
    squared = (luma - blurred).double().square()[:, 0]
    squared = squared if where is None else squared[where]
    return float(squared.mean()) if squared.numel() else None
