"""The redundancy map of a clip: a video of the source, and beside it where latents change from patch to patch."""

from fractions import Fraction
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from lipar.files.owner import Outputs
from lipar.video import BT709, VideoWriter
from lipar_lab.analyze.coding import CodedClip, Coder
from lipar_lab.analyze.patches import Changes

COLOURS = "inferno"
"""Of matplotlib: dark where nothing changes."""
OPACITY = 0.65
USUAL_FRAME_RATE = Fraction(25)


def map_frames(
    clip: CodedClip, change: Changes, coder: Coder
) -> Float[Tensor, "frames 3 height double_width"]:
    """The pictures of the map: the source on the left, grey with the change in colour on the right.

    Until the second patch in time there is nothing to compare with, and the right side is grey only.

    Args:
        clip: the source.
        change: of its latent patches, 1 or more having the brightest colour.
        coder: says how many pixels a patch stands for.
    """
    grey = clip.pixels.mean(1, keepdim=True).expand_as(clip.pixels)
    begin = coder.lead * coder.autoencoder.first_pixel_frames + coder.patch_frames
    heat = _colours(change).repeat_interleave(coder.patch_frames, 0)
    heat = heat.repeat_interleave(coder.side, 2).repeat_interleave(coder.side, 3)
    # frames at the end that fill no patch show the last one
    heat = torch.cat([heat, heat[-1:].expand(max(0, len(grey) - begin - len(heat)), -1, -1, -1)])
    blended = (1 - OPACITY) * grey[begin:] + OPACITY * heat[: len(grey) - begin]
    return torch.cat([clip.pixels, torch.cat([grey[:begin], blended])], dim=3)


def write_map(path: Path, pictures: Tensor, clip: CodedClip, outputs: Outputs) -> None:
    """Write the pictures as a video with the times of the source.

    Args:
        path: ends in .mp4.
        pictures: by `map_frames`.
        clip: gives the times.
        outputs: owns the file.
    """
    info = clip.info
    with VideoWriter(
        path,
        width=pictures.shape[3],
        height=pictures.shape[2],
        time_base=info.time_base,
        frame_rate=info.frame_rate or USUAL_FRAME_RATE,
        colour=BT709,
        outputs=outputs,
    ) as writer:
        for picture, (pts, duration) in zip(pictures, clip.times, strict=True):
            writer.write(picture, pts=pts, duration=duration)


def _colours(values: Changes) -> Float[Tensor, "t 3 rows cols"]:
    """Colours of values from 0 to 1."""
    from matplotlib import colormaps

    rgb = colormaps[COLOURS](values.clamp(0, 1).numpy())[..., :3]
    return torch.from_numpy(rgb).float().movedim(-1, 1)
