"""Gaussian and uniform draws that depend on seed, frame and step alone, not on the cut into blocks or on pruning."""

from collections.abc import Callable
from typing import TypeAlias

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.types import Latents

GaussianDraw: TypeAlias = Callable[[int, int, tuple[int, int, int]], Tensor]
"""(frame, index, (c, h, w)) -> unit Gaussian values of that frame; index 0 starts a frame, index i > 0 is added after
denoise step i - 1."""

_MIX = 0x9E3779B97F4A7C15  # 2^64 / golden ratio: spreads consecutive numbers over the seeds


@attrs.frozen
class SeededDraw:
    """Unit Gaussian values per (seed, absolute frame, index), drawn on the CPU so that all devices agree.

    Args:
        seed: any integer of 64 bits.
    """

    seed: int

    def __call__(self, frame: int, index: int, shape: tuple[int, int, int]) -> Tensor:
        """The values of one frame, `c h w`."""
        return torch.randn(shape, generator=_generator(self.seed, frame, index))


def uniform(
    seed: int, first_frame: int, index: int, grid: tuple[int, int, int]
) -> Float[Tensor, "t rows cols"]:
    """Uniform values in [0, 1) per (seed, absolute frame, index), drawn on the CPU so that all devices agree.

    Args:
        seed: any integer of 64 bits.
        first_frame: index of the first frame in the video.
        index: which draw of each frame.
        grid: frames, rows and columns.
    """
    frames, rows, cols = grid
    drawn = [
        torch.rand((rows, cols), generator=_generator(seed, first_frame + i, index)) for i in range(frames)
    ]
    return torch.stack(drawn)


def _generator(seed: int, frame: int, index: int) -> torch.Generator:
    # torch's CPU generator uses only the low 32 bits of its seed, so the high bits are folded into them
    folded = seed + (seed >> 32) * 0x85EBCA6B
    mixed = (folded * _MIX + frame * 1_000_003 + index) * _MIX
    return torch.Generator().manual_seed(mixed & (2**63 - 1))


def block_gaussian(draw: GaussianDraw, first_frame: int, index: int, like: Latents) -> Latents:
    """One draw for the frames of a block, shared by its guidance branches.

    Args:
        draw: gives the values of one frame.
        first_frame: index of the block's first frame in the video.
        index: which draw of each frame; see `GaussianDraw`.
        like: latents of the block; the result has their shape, device and dtype.
    """
    frames = like.shape[1]
    shape = (like.shape[2], like.shape[3], like.shape[4])
    stacked = torch.stack([draw(first_frame + i, index, shape) for i in range(frames)])
    if like.device.type == "cuda" and stacked.device.type == "cpu":
        # from other memory the host would wait, with the copy, for all that the GPU has still to do
        stacked = stacked.pin_memory()
    return stacked.to(device=like.device, dtype=like.dtype, non_blocking=True)[None].expand_as(like)
