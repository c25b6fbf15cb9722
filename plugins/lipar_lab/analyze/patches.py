"""Patches in space and time, the change from each to the next, and the replacement of those that change little.

A patch is 2 latent frames, 2 rows and 2 columns, as in the experiments of arXiv 2603.05811; a patch of pixels is that
times what the autoencoder compresses. Changes are the L1 norm over the number of values: their mean.
"""

from itertools import pairwise

import torch
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor

from lipar.metrics.stillness import PixelClip

PATCH = 2
"""Latent frames, rows and columns of a patch."""
FrameLatents = Float[Tensor, "frames channels height width"]
Patches = Float[Tensor, "t rows cols values"]
Changes = Float[Tensor, "t rows cols"]
Replaced = Bool[Tensor, "t rows cols"]


def cut(values: FrameLatents, frames: int = PATCH, side: int = PATCH) -> Patches:
    """Frames as patches; frames at the end that fill no patch are left out.

    Args:
        values: latents or pixels, rows and columns multiples of the side.
        frames: of a patch.
        side: rows and columns of a patch.
    """
    whole = values[: len(values) // frames * frames]
    return rearrange(whole, "(t p) c (h q) (w r) -> t h w (c p q r)", p=frames, q=side, r=side)


def join(patches: Patches, channels: int) -> FrameLatents:
    """Latents of patches, the inverse of `cut`.

    Args:
        patches: as `cut` makes them of latents.
        channels: those of the latents.
    """
    pattern = "t h w (c p q r) -> (t p) c (h q) (w r)"
    return rearrange(patches, pattern, c=channels, p=PATCH, q=PATCH, r=PATCH)


def changes(patches: Patches) -> Changes:
    """Mean absolute difference of each patch and the one before it in time, one time fewer.

    Args:
        patches: of latents or pixels.
    """
    # time by time: the differences of pixels of a whole clip are as large as the clip
    return torch.stack([(now - before).abs().mean(-1) for before, now in pairwise(patches)])


def pixel_changes(pixels: PixelClip, frames: int, side: int) -> Changes:
    """Changes of patches of pixels.

    Args:
        pixels: in [0, 1].
        frames: pixel frames of a patch.
        side: pixel rows and columns of a patch.
    """
    return changes(cut(pixels, frames, side))


def replace(latents: FrameLatents, change: Changes, theta: float) -> tuple[FrameLatents, Replaced]:
    """Latents in which p(t+1) is what p(t) has become, wherever ||p(t+1) - p(t)||_1 < theta.

    The change is that of the original latents, and the copy is of the result, as restoration does it (Alg. 2): a patch
    that changes slowly for long stays what it was. Also gives which patches, from the second time on, were replaced.

    Args:
        latents: clean latents; frames at the end that fill no patch stay as they are.
        change: of their patches, by `changes`.
        theta: in units of the latents, per value; at 0 nothing is replaced.
    """
    replaced = change < theta
    patches = cut(latents).clone()
    for index, where in enumerate(replaced):
        patches[index + 1] = torch.where(where[..., None], patches[index], patches[index + 1])
    found = join(patches, latents.shape[1])
    return torch.cat([found, latents[len(found) :]]), replaced
