"""The timestep embedding of a Wan transformer in the precision of the original code."""

import torch
from torch import Tensor, nn


class Float64Timesteps(nn.Module):
    """The sinusoid of a timestep in float64, as `sinusoidal_embedding_1d` of the original Wan code computes it.

    diffusers computes it in float32, which changes the output by 2e-5 of its standard deviation.

    Args:
        channels: size of the embedding, half cosines and half sines.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, timesteps: Tensor) -> Tensor:
        """Timesteps `b`, 0 to 1000, as `b channels` in float32."""
        half = self.channels // 2
        exponent = torch.arange(half, dtype=torch.float64, device=timesteps.device) / half
        angle = torch.outer(timesteps.to(torch.float64), torch.pow(10000.0, -exponent))
        return torch.cat([angle.cos(), angle.sin()], dim=1).float()
