"""The figures of one run against the dense run, over the blocks after the first."""

import math
from typing import Any

import attrs
from jaxtyping import Bool
from torch import Tensor

from lipar.metrics.fidelity import psnr
from lipar.metrics.sharpness import high_frequencies
from lipar.metrics.stillness import PixelClip, PixelMask, flicker, still_pixels
from lipar.types import Latents

LatentMask = Bool[Tensor, "t h w"]


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
        "psnr_latent": _psnr(latents, dense.latents, peak=peak),
        "psnr_latent_kept": _psnr(latents, dense.latents, peak=peak, where=kept),
        "psnr_pixel": _psnr(pixels, dense.pixels),
        "psnr_pixel_kept": _psnr(pixels, dense.pixels, where=kept_pixels),
        "psnr_target": None if dense.target is None else _psnr(pixels, dense.target),
        "high_frequencies": energy / dense.energy if energy is not None and dense.energy else None,
        "flicker": flicker(pixels, dense.still),
    }


def _psnr(a: Tensor, b: Tensor, *, peak: float = 1.0, where: Tensor | None = None) -> float | None:
    """PSNR in dB; None, which JSON knows, where the two are equal or nothing is compared."""
    decibels = psnr(a, b, peak=peak, where=where)
    return decibels if math.isfinite(decibels) else None
