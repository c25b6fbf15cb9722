"""VMAF and VMAF-NEG, Netflix' model of how good a viewer finds a distorted video.

Computed by vmaf-torch, which holds the weights of the default model (`vmaf_v0.6.1`) and is imported when it is used:
`pip install "lipar[measure]"`. The NEG variant limits the gain of enhancement, so that sharpening does not raise it.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lipar.metrics.packages import load
from lipar.metrics.pieces import PIXELS_AT_ONCE, OtherClip, check_same_size, check_smallest, pieces
from lipar.metrics.stillness import PixelClip

SMALLEST = 17
"""Shortest side, in pixels, that the wavelets of its fourth scale can be applied to."""


def vmaf(
    clip: PixelClip, reference: OtherClip, *, neg: bool = False, pixels_at_once: int = PIXELS_AT_ONCE
) -> float:
    """Mean over frames of the score, from 0 to 100. A clip and itself have nearly 100, and 97.4 where nothing moves.

    Args:
        clip: the distorted clip, pixels in [0, 1].
        reference: the clip that it is compared with, of the same size; the order matters.
        neg: VMAF-NEG.
        pixels_at_once: pixels of a piece that is computed together; it does not change the result.

    Raises:
        ModuleNotFoundError: vmaf-torch is not installed.
        ValueError: the clips differ in size, or the pictures are too small.
    """
    library = load("vmaf-torch", "VMAF")
    check_same_size(clip, reference)
    check_smallest(clip, SMALLEST, "VMAF", "so that its fourth scale has two pixels")
    model = library.VMAF(NEG=neg, clip_score=True).to(clip.device)
    scores, change = [], []
    with torch.inference_mode():
        for piece in pieces(clip, pixels_at_once):
            change.append(_change(model, reference, piece))
        motion = _motion(torch.cat(change))
        for piece in pieces(clip, pixels_at_once):
            seen, original = luma(clip[piece]), luma(reference[piece])
            adm = model.compute_adm_score(original, seen)
            vif = model.compute_vif_features(original, seen)
            scores.append(model.predict(adm, motion[piece, None], vif))
    return float(torch.cat(scores).double().mean())


def luma(clip: PixelClip) -> Float[Tensor, "pixel_frames 1 height width"]:
    """Luma as a video file of 8 bits holds it: BT.709, limited range, from 16 to 235 in whole levels.

    Args:
        clip: RGB in [0, 1].
    """
    weights = torch.tensor([0.2126, 0.7152, 0.0722], device=clip.device).view(1, 3, 1, 1)
    grey = (clip.float().clamp(0, 1) * weights).sum(1, keepdim=True)
    return (16 + 219 * grey).round()


def _change(model: Any, reference: PixelClip, piece: slice) -> Float[Tensor, " piece_frames"]:
    """Change of each frame of the piece from the frame before it, after a blur; 0 for the clip's first."""
    first = max(piece.start - 1, 0)
    values: Tensor = model.compute_motion(luma(reference[first : piece.stop]))[:, 0]
    return values[piece.start - first :]


def _motion(change: Float[Tensor, " pixel_frames"]) -> Float[Tensor, " pixel_frames"]:
    """The feature that VMAF calls motion2: the smaller of the changes before and after each frame."""
    return torch.minimum(change, torch.cat([change[1:], change[-1:]]))
