"""Flow matching as Wan and Self-Forcing use it: x_sigma = (1 - sigma) x_0 + sigma eps, flow = eps - x_0."""

from collections.abc import Sequence

import torch

from lipar.sampling.steps import TRAIN_STEPS
from lipar.types import Latents


def warped_sigmas(steps: Sequence[int], shift: float) -> list[float]:
    """Noise levels of step indices, 1000 = pure noise, after the schedule's shift: s -> shift s / (1 + (shift-1) s).

    Computed in float32, as in Self-Forcing's `FlowMatchScheduler` (utils/scheduler.py), to agree bit for bit.
    """
    s = torch.linspace(1.0, 0.0, TRAIN_STEPS + 1)[:-1]
    sigmas = shift * s / (1 + (shift - 1) * s)
    return [float(sigmas[TRAIN_STEPS - step]) for step in steps]


def denoise(noisy: Latents, flow: Latents, sigma: float) -> Latents:
    """The clean estimate x_0 = x - sigma flow, computed in float64 as in Self-Forcing."""
    return (noisy.double() - sigma * flow.double()).to(noisy.dtype)


def add_noise(clean: Latents, gaussian: Latents, sigma: float) -> Latents:
    """Clean latents at the noise level sigma: (1 - sigma) clean + sigma gaussian."""
    return ((1 - sigma) * clean + sigma * gaussian).to(clean.dtype)
