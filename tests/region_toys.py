"""A small streaming decoder in stages, with random convolutions, for tests of regions."""

import torch
from torch import Tensor, nn

from lipar.regions.stages import Memory, StagedDecoder, spatial_radius
from lipar.types import Latents


class RememberingStage:
    """A convolution over a frame's features and those of the frame before, at the same size."""

    scale = 1

    def __init__(self, channels: int, kernel: int = 3) -> None:
        self.convolution = nn.Conv2d(2 * channels, channels, kernel, padding=kernel // 2).requires_grad_(
            False
        )
        self.radius = spatial_radius(self.convolution)

    def __call__(self, features: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        before = torch.zeros_like(features[:, :1]) if memory is None else memory[0]
        both = torch.cat([features, torch.cat([before, features[:, :-1]], 1)], 2)
        return self.convolution(both.flatten(0, 1)).unflatten(0, features.shape[:2]), [features[:, -1:]]


class EnlargingStage:
    """Two frames of each, at twice the size, and a convolution."""

    scale = 2

    def __init__(self, channels_in: int, channels_out: int) -> None:
        self.convolution = nn.Conv2d(channels_in, channels_out, 3, padding=1).requires_grad_(False)
        self.radius = spatial_radius(self.convolution)

    def __call__(self, features: Tensor, memory: Memory | None) -> tuple[Tensor, Memory]:
        features = features.repeat_interleave(2, 1)
        large = features.repeat_interleave(2, 3).repeat_interleave(2, 4)
        return self.convolution(large.flatten(0, 1)).unflatten(0, large.shape[:2]), []


def toy_stages() -> list[RememberingStage | EnlargingStage]:
    """Stages from 4 channels to pictures of four times the size, 4 frames for each."""
    torch.manual_seed(0)
    return [RememberingStage(4), EnlargingStage(4, 4), RememberingStage(4, 5), EnlargingStage(4, 3)]


def toy_decoder(together: int = 1) -> StagedDecoder:
    """A new stream of these stages; the trunk is a gain."""
    return StagedDecoder(
        lambda latents: 0.5 * latents, toy_stages(), time_axis=1, together=lambda latents: together
    )


def toy_latents(frames: int = 6, rows: int = 24, cols: int = 32, seed: int = 0) -> Latents:
    """Latents that differ everywhere from frame to frame."""
    return torch.randn(1, frames, 4, rows, cols, generator=torch.Generator().manual_seed(seed))
