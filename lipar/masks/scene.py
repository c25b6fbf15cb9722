"""Scene cuts, detected in the source latents, so that no scene is recovered from another."""

from collections.abc import Iterable, Iterator

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.layout import token_features
from lipar.masks.source import SourceBlock
from lipar.types import Features

CUT_CORRELATION = 0.2
"""Frames whose latents correlate less than this show different scenes. On the bundled model's latents a dog filmed by a
running camera keeps 0.24 and more from frame to frame, and frames of different clips stay below 0.13."""
CUT_STEP = 0.5
"""Frames of different scenes also differ by more than this (root mean square, unit-variance latents); the correlation
alone would take fades and flat frames for cuts."""


@attrs.frozen(kw_only=True)
class SceneBegin:
    """Where in its video a source begins: with a block in which a scene begins."""

    first_frame: int = 0
    """Index of the block's first latent frame in the video."""
    cut: int | None = None
    """Offset in the block of the frame with which the scene begins; None: it is looked for."""


VIDEO_BEGIN = SceneBegin()
"""The begin of the video."""


def cut_offset(previous: Float[Tensor, "1 rows cols features"] | None, block: Features) -> int | None:
    """Index of the frame of the block with which its last new scene starts, or None.

    Two frames of one scene stay correlated, even under a panning camera, since most of a latent's energy
    lies at low frequencies; frames of two scenes do not. Noise and fades are not taken for cuts.

    Args:
        previous: the frame before the block; None at the start of the video.
        block: source features of the block.
    """
    frames = block if previous is None else torch.cat([previous, block])
    if frames.shape[0] < 2:
        return None
    flat = frames.flatten(1).float()
    flat = flat - flat.mean(dim=1, keepdim=True)
    norm = flat.norm(dim=1).clamp(min=1e-6)
    correlation = (flat[1:] * flat[:-1]).sum(1) / (norm[1:] * norm[:-1])
    step = (frames[1:] - frames[:-1]).flatten(1).float().square().mean(dim=1).sqrt()
    cuts = ((correlation < CUT_CORRELATION) & (step > CUT_STEP)).nonzero().flatten().tolist()
    if not cuts:
        return None
    return int(cuts[-1]) + (1 if previous is None else 0)


def mark_scenes(
    blocks: Iterable[SourceBlock], patch_size: int, *, detect: bool = True, begin: int | None = None
) -> Iterator[SourceBlock]:
    """Set `cut` of every block in which a scene begins; the first block always begins one.

    Args:
        blocks: the source of one video, in order.
        patch_size: latent rows and columns of a token.
        detect: whether to look for cuts; otherwise the video is one scene.
        begin: `cut` of the first block, where the video before it is known; None: it is the begin of the video.
    """
    previous: Features | None = None
    for index, block in enumerate(blocks):
        cut = None
        if detect:
            features = token_features(block.latents, patch_size)
            cut = cut_offset(previous, features)
            previous = features[-1:]
        if index == 0:
            cut = cut or 0 if begin is None else begin
        yield attrs.evolve(block, cut=cut)
