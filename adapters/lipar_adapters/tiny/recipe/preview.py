"""Block-causal sampling the plain way: no cache, no pruning, every block computed from all clean latents before it.

The independent dense reference: what the runtime computes with its key/value cache must equal this, since both feed
a block the clean frames of [sink | window] at rolling positions.
"""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.tiny.recipe.lean_forward import BLOCK_FRAMES, Window, teacher_forced_flow

Noise = Callable[[int, int], Tensor]
"""(step, first frame of the block) -> noise of the block's shape."""


def shifted_sigmas(steps: list[int], shift: float = 5.0) -> list[float]:
    """Noise levels of steps that are counted in thousandths before the shift, as Self-Forcing's schedule has them."""
    fractions = [step / 1000 for step in steps]
    return [shift * f / (1 + (shift - 1) * f) for f in fractions]


def steps_for_strength(edit_steps: list[int], strength: float) -> list[int]:
    """The edit list scaled so that it starts at 1000 times the strength."""
    return [round(step * 1000 * strength / edit_steps[0]) for step in edit_steps]


def seeded_noise(seed: int, shape: torch.Size | tuple[int, ...]) -> Noise:
    """Noise that depends on seed, step and block only."""

    def noise(step: int, first_frame: int) -> Tensor:
        generator = torch.Generator().manual_seed(seed * 1_000_003 + first_frame * 101 + step)
        return torch.randn(shape, generator=generator)

    return noise


@torch.no_grad()
def sample(
    transformer: Any,
    text: Float[Tensor, "b words text_dim"],
    source: Float[Tensor, "b t c h w"] | None,
    sigmas: list[float],
    noise: Noise,
    frames: int | None = None,
    shape: tuple[int, int, int] | None = None,
    window: Window | None = None,
) -> Float[Tensor, "b t c h w"]:
    """Denoise a video block by block; SDEdit from the source's latents, or from pure noise without a source.

    Args:
        transformer: a stock Wan transformer.
        text: rows of the prompt, one prompt per video.
        source: clean latents of the videos; None: text to video.
        sigmas: falling noise levels; the first is where the source is noised to.
        noise: gives the Gaussian values of each step and block.
        frames: latent frames of a video without a source.
        shape: its (c, h, w).
        window: which clean frames a block is given; None: sink 1, window 6.
    """
    window = window or Window()
    batch = len(text)
    if source is None:
        assert frames is not None and shape is not None
        source = torch.zeros(batch, frames, *shape, dtype=text.dtype)
    denoised = torch.zeros_like(source)
    for first in range(0, source.shape[1], BLOCK_FRAMES):
        last = first + BLOCK_FRAMES
        estimate = source[:, first:last]
        for step, sigma in enumerate(sigmas):
            noisy = torch.zeros_like(denoised[:, :last])
            noisy[:, first:] = (1 - sigma) * estimate + sigma * noise(step, first).to(source)
            levels = torch.full((batch, last // BLOCK_FRAMES), sigma, dtype=text.dtype)
            flow = teacher_forced_flow(transformer, denoised[:, :last], noisy, levels, text, window)
            estimate = (noisy - sigma * flow)[:, first:]
        denoised[:, first:last] = estimate
    return denoised
