"""Noise that depends on the seed and the frame alone, not on how a video is cut into blocks or pruned."""

from collections.abc import Callable

import torch
from torch import Tensor

from lipar.types import Latents

NoiseDraw = Callable[[int, int, tuple[int, int, int]], Tensor]
"""(frame, draw, (c, h, w)) -> that frame's unit noise; draw 0 starts a frame, draw i re-noises it after step i-1."""

_MIX = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads consecutive numbers over the seeds


def seeded_noise(seed: int) -> NoiseDraw:
    """Unit Gaussian noise drawn per (seed, absolute frame, draw), on the CPU, so that devices agree."""

    # torch's CPU generator reads the low 32 bits of its seed alone, so those above are brought down
    seed += (seed >> 32) * 0x85EBCA6B

    def draw(frame: int, index: int, shape: tuple[int, int, int]) -> Tensor:
        mixed = (seed * _MIX + frame * 1_000_003 + index) * _MIX
        generator = torch.Generator().manual_seed(mixed & (2**63 - 1))
        return torch.randn(shape, generator=generator)

    return draw


def block_noise(draw: NoiseDraw, first_frame: int, index: int, like: Latents) -> Latents:
    """Noise for the frames of a block, shared by its guidance branches."""
    frames = like.shape[1]
    shape = (like.shape[2], like.shape[3], like.shape[4])
    stacked = torch.stack([draw(first_frame + i, index, shape) for i in range(frames)])
    # not blocking: the host draws ahead while a GPU still works
    return stacked.to(device=like.device, dtype=like.dtype, non_blocking=True)[None].expand_as(like)
