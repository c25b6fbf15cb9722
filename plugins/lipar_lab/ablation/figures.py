"""The figures of one run against the dense run, over the blocks after the first."""

from typing import Any

import attrs
import torch
import torch.nn.functional as F
from jaxtyping import Bool
from torch import Tensor

from lipar.types import Latents
from lipar.video.quality import PixelClip, PixelMask, flicker, still_pixels

LatentMask = Bool[Tensor, "t h w"]


def psnr(a: Tensor, b: Tensor, *, peak: float = 1.0, where: Tensor | None = None) -> float | None:
    """Peak signal-to-noise ratio in dB; None where the two are equal or nothing is compared.

    Args:
        a: values of any shape.
        b: values of the same shape.
        peak: largest possible difference.
        where: a mask that broadcasts to `a`; None: everything.
    """
    squared = (a.double() - b.double()).square()
    if where is not None:
        squared = squared[where.expand_as(squared)]
    if squared.numel() == 0:
        return None
    error = float(squared.mean())
    return None if error == 0 else float(10 * torch.log10(torch.tensor(peak**2 / error, dtype=torch.float64)))


def high_frequencies(clip: PixelClip, where: PixelMask | None = None) -> float | None:
    """Mean squared difference of luma and its binomial 3x3 blur; None where nothing is measured."""
    luma = (clip * clip.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    row = luma.new_tensor([0.25, 0.5, 0.25])
    blurred = F.conv2d(F.pad(luma, (1, 1, 1, 1), mode="replicate"), torch.outer(row, row)[None, None])
    squared = (luma - blurred).double().square()[:, 0]
    squared = squared if where is None else squared[where]
    return float(squared.mean()) if squared.numel() else None


@attrs.frozen(eq=False, kw_only=True)
class Baseline:
    """What all rows of one clip and strength are compared with, without the frames of the first block."""

    latents: Latents
    """Latents of the dense run."""
    pixels: PixelClip
    """Decoded pixels of the dense run."""
    source: PixelClip
    target: PixelClip | None
    """The exact edit."""
    still: PixelMask
    """Pixels on which flicker is measured."""
    energy: float | None
    """High frequencies of the dense run, see `high_frequencies`."""

    @classmethod
    def of(
        cls, latents: Latents, pixels: PixelClip, source: PixelClip, target: PixelClip | None
    ) -> "Baseline":
        """From the dense run's latents and pixels, and the clip's source and exact edit."""
        return cls(
            latents=latents,
            pixels=pixels,
            source=source,
            target=target,
            still=still_pixels(source),
            energy=high_frequencies(pixels),
        )


def figures(
    latents: Latents, pixels: PixelClip, dense: Baseline, latent_mask: LatentMask, pixel_mask: PixelMask
) -> dict[str, Any]:
    """All figures of one run, by the key they have in the record; PSNR in dB, flicker in levels of 255.

    Args:
        latents: latents of the run after the first block.
        pixels: decoded pixels of the same frames, in [0, 1].
        dense: the baseline. The peak of PSNR between latents is the range of its latents.
        latent_mask: True where tokens were kept, at the resolution of latents.
        pixel_mask: the same at the resolution of pixels.
    """
    peak = float(dense.latents.max() - dense.latents.min())
    kept, kept_pixels = latent_mask[None, :, None], pixel_mask[:, None]
    energy = high_frequencies(pixels)
    return {
        "psnr_latent": psnr(latents, dense.latents, peak=peak),
        "psnr_latent_kept": psnr(latents, dense.latents, peak=peak, where=kept),
        "psnr_pixel": psnr(pixels, dense.pixels),
        "psnr_pixel_kept": psnr(pixels, dense.pixels, where=kept_pixels),
        "psnr_target": None if dense.target is None else psnr(pixels, dense.target),
        "high_frequencies": energy / dense.energy if energy is not None and dense.energy else None,
        "flicker": flicker(pixels, dense.still),
    }
