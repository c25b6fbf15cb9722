"""Motion video and mask, scaled to the clip's size and brought into latent space."""

from typing import Any, TypeAlias

import attrs
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor

from lipar.messages import counted
from lipar.types import Latents, shaped
from lipar.video.given_frames import pixel_frames
from lipar_adapters.wan.clip_latents import check_clip, latents_of_clip

MotionVideo: TypeAlias = UInt8[Tensor, "frames 3 height width"] | Float[Tensor, "frames 3 height width"]
"""RGB: uint8, or floats in [0, 1]."""
MaskVideo: TypeAlias = (
    UInt8[Tensor, "mask_frames 3 mask_height mask_width"]
    | Float[Tensor, "mask_frames 3 mask_height mask_width"]
)
"""White where the motion is prescribed; its size may be another."""
LatentMask: TypeAlias = Bool[Tensor, "t h w"]


@attrs.frozen(eq=False, kw_only=True)
class MotionLatents:
    """Motion video and mask in latent space."""

    reference: Latents = attrs.field(validator=shaped(Latents))
    """The motion video, `1 t c h w`, clean, in the scale the DiT sees; pruning reads its redundancy."""
    mask: Tensor = attrs.field(validator=shaped(LatentMask))
    """True where the motion is prescribed."""
    frames: int
    """Pixel frames of the clip."""
    height: int
    width: int

    @property
    def masked_fraction(self) -> float:
        """Fraction of the latents inside the mask."""
        return float(self.mask.float().mean())


def encode_motion(
    pipe: Any,
    motion: Any,
    mask: Any,
    *,
    height: int,
    width: int,
    num_frames: int | None = None,
    released: bool = False,
) -> MotionLatents:
    """Bring a motion video and its mask to the size and length of a clip, and encode them.

    Args:
        pipe: a pipeline, whose autoencoder is used.
        motion: the warped video: a tensor `frames 3 height width` in [0, 1] or uint8, or any other form that
            `lipar.video.given_frames.pixel_frames` reads.
        mask: likewise, white where it prescribes the motion; its first channel is read. Its size may be another.
        height: height of the clip in pixels.
        width: width of the clip in pixels.
        num_frames: pixel frames of the clip, 1 + 4n; later ones are left out. None: all of the motion
            video, except for up to three frames beyond the last 1 + 4n.
        released: scale the motion video as TTM's code does; see `scale_motion`.

    Raises:
        TypeError: motion or mask is an object that is no video.
        ValueError: motion video or mask is shorter than the clip or cannot be read; a size does not fit the pipeline.
    """
    # a tensor may be much longer than the clip, so it is made floats after it was cut
    motion, mask = (
        video if isinstance(video, Tensor) and video.ndim == 4 else pixel_frames(video)
        for video in (motion, mask)
    )
    frames = clip_frames(len(motion), len(mask), num_frames, group=pipe.vae_scale_factor_temporal)
    check_clip(pipe, frames=frames, height=height, width=width)
    clip = scale_motion(pixel_frames(motion[:frames]), (height, width), released=released)
    shown = scale_mask(pixel_frames(mask[:frames]), (height, width))
    small = latent_mask(shown, group=pipe.vae_scale_factor_temporal, factor=pipe.vae_scale_factor_spatial)
    return MotionLatents(
        reference=latents_of_clip(pipe, (2 * clip - 1).transpose(0, 1)[None]),
        mask=small.to(pipe._execution_device),
        frames=frames,
        height=height,
        width=width,
    )


def clip_frames(motion: int, mask: int, wanted: int | None, *, group: int = 4) -> int:
    """Number of pixel frames of a clip, from the lengths of the motion video and of its mask.

    Raises:
        ValueError: there are fewer than wanted, or none.
    """
    there = min(motion, mask)
    if there < 1:
        raise ValueError("the motion video or its mask has no frame")
    longest = (there - 1) // group * group + 1
    if wanted is None:
        return longest
    if wanted > there:
        short = "mask" if mask < motion else "motion video"
        raise ValueError(
            f"a clip of {counted(wanted, 'frame')} was asked for, but the {short} has {there}; ask for "
            f"{longest} at most, or make it longer"
        )
    return wanted


def scale_motion(
    motion: MotionVideo, size: tuple[int, int], *, released: bool = False
) -> Float[Tensor, "frames 3 out_height out_width"]:
    """A motion video as floats at another height and width: bicubic, low-passed where it shrinks, clamped to [0, 1].

    Released: bicubic with corners aligned and nothing else, so what shrinks is aliased and sharp edges overshoot.
    """
    unit = motion.float() / 255 if motion.dtype == torch.uint8 else motion.float()
    if released:
        return F.interpolate(unit, size, mode="bicubic", align_corners=True)
    if unit.shape[2:] == size:
        return unit
    return F.interpolate(unit, size, mode="bicubic", align_corners=False, antialias=True).clamp(0, 1)


def scale_mask(mask: MaskVideo, size: tuple[int, int]) -> Bool[Tensor, "mask_frames out_height out_width"]:
    """True where the mask is more white than black, at another height and width."""
    unit = mask[:, :1].float() / 255 if mask.dtype == torch.uint8 else mask[:, :1].float()
    return F.interpolate(unit, size, mode="nearest")[:, 0] > 0.5


def latent_mask(mask: Bool[Tensor, "frames height width"], *, group: int, factor: int) -> LatentMask:
    """The mask of latent frames: the first pixel frame of each, and of it the pixel in the corner of each latent."""
    firsts = torch.cat([mask[:1], mask[1::group]])
    return firsts[:, ::factor, ::factor]
