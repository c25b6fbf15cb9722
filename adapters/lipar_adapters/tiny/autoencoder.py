"""A small causal video autoencoder: 4 pixel frames and 8x8 pixels become one latent of 16 channels.

The design follows the idea of TAEHV (Bohan, "tiny autoencoder for hunyuan video"): convolutions that see only the
present and the previous frame's features, frames pooled by 2 twice on the way down and grown by 2 twice on the way
up, so that the whole streaming state is one feature map per memory block. No code or weights of TAEHV are used.
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
import torch.nn.functional as F
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

PixelFrames: TypeAlias = Float[Tensor, "b frames 3 height width"]
Latents: TypeAlias = Float[Tensor, "b t c h w"]
Features: TypeAlias = Float[Tensor, "b frames channels rows columns"]
Resized: TypeAlias = Float[Tensor, "b frames_out channels_out rows_out columns_out"]
"""Features of another size than those that came in."""
State: TypeAlias = list[Tensor]
"""One entry per memory block: its input at the last frame seen, `b 1 channels rows columns`."""

TEMPORAL_STRIDE = 4
SPATIAL_STRIDE = 8


def conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (at stride 1), zero-padded at the border."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2)


def per_frame(module: nn.Module, features: Tensor) -> Tensor:
    """Apply a 2-D module to every frame of `b frames channels rows columns`."""
    return module(features.flatten(0, 1)).unflatten(0, features.shape[:2])


def hold_first_frame(pixel_frames: PixelFrames) -> Resized:
    """The first frame four times: so 1 + 4n frames, as Wan's pipelines count them, fill groups of 4.

    The first latent frame then holds the first pixel frame alone; `decode` gives three copies of it to be dropped.
    """
    return torch.cat([pixel_frames[:, :1].expand(-1, TEMPORAL_STRIDE - 1, -1, -1, -1), pixel_frames], 1)


class MemoryBlock(nn.Module):
    """Residual block that also sees the previous frame's features."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = conv(channels, channels)
        self.layers = nn.Sequential(conv(2 * channels, channels), nn.ReLU(), last)
        with torch.no_grad():
            last.weight.mul_(0.3)
            if last.bias is not None:
                last.bias.zero_()

    def forward(self, features: Features, previous: Tensor | None) -> tuple[Features, Tensor]:
        """Return the new features, and this call's last input frame, which is the next call's `previous`."""
        if previous is None:
            previous = torch.zeros_like(features[:, :1])
        shifted = torch.cat([previous, features[:, :-1]], 1)
        update = per_frame(self.layers, torch.cat([features, shifted], 2))
        return F.relu(features + update), features[:, -1:]


class PoolFrames(nn.Module):
    """Two frames become one, at half the height and width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(2 * channels_in, channels_out, stride=2), nn.ReLU())

    def forward(self, features: Features) -> Resized:
        """Features of half as many frames, rows and columns."""
        return per_frame(self.layers, rearrange(features, "b (t p) c h w -> b t (p c) h w", p=2))


class GrowFrames(nn.Module):
    """One frame becomes two, at twice the height and width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.split = conv(channels_in, 2 * channels_out, 1)
        self.enlarge = nn.Sequential(nn.Upsample(scale_factor=2), conv(channels_out, channels_out), nn.ReLU())

    def forward(self, features: Features) -> Resized:
        """Features of twice as many frames, rows and columns."""
        grown = rearrange(per_frame(self.split, features), "b t (p c) h w -> b (t p) c h w", p=2)
        return per_frame(self.enlarge, grown)


class Stack(nn.Module):
    """Layers in order; the memory blocks among them take and leave the streaming state."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Features, state: State | None) -> tuple[Resized, State]:
        """Features after all layers, and the streaming state with which the next frames continue."""
        last: State = []
        for layer in self.layers:
            if isinstance(layer, MemoryBlock):
                features, kept = layer(features, state[len(last)] if state else None)
                last.append(kept)
            elif isinstance(layer, PoolFrames | GrowFrames):
                features = layer(features)
            else:
                features = per_frame(layer, features)
        return features, last


class TinyVideoAutoencoder(ModelMixin, ConfigMixin):
    """Pixels in [0, 1] to unit-variance latents and back, in groups of exactly 4 pixel frames.

    Args:
        latent_channels: channels of a latent.
        widths: channels of the features at 1/2, 1/4 and 1/8 of the pixel resolution.
        latents_mean, latents_std: per channel, set at the end of training; latents leave normalised by them.
    """

    @register_to_config
    def __init__(
        self,
        latent_channels: int = 16,
        widths: Sequence[int] = (32, 64, 96),
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
    ) -> None:
        super().__init__()
        fine, middle, coarse = widths
        self.encoder = Stack(
            nn.Sequential(nn.PixelUnshuffle(2), conv(12, fine), nn.ReLU(), conv(fine, fine), nn.ReLU()),
            PoolFrames(fine, middle),
            MemoryBlock(middle),
            MemoryBlock(middle),
            PoolFrames(middle, coarse),
            MemoryBlock(coarse),
            MemoryBlock(coarse),
            conv(coarse, latent_channels),
        )
        self.decoder = Stack(
            nn.Sequential(conv(latent_channels, coarse), nn.ReLU()),
            MemoryBlock(coarse),
            MemoryBlock(coarse),
            MemoryBlock(coarse),
            MemoryBlock(coarse),
            GrowFrames(coarse, middle),
            MemoryBlock(middle),
            MemoryBlock(middle),
            MemoryBlock(middle),
            GrowFrames(middle, fine),
            MemoryBlock(fine),
            MemoryBlock(fine),
            MemoryBlock(fine),
            nn.Sequential(conv(fine, 12), nn.PixelShuffle(2)),
        )
        zeros, ones = [0.0] * latent_channels, [1.0] * latent_channels
        self.register_buffer("mean", torch.tensor(latents_mean or zeros).view(-1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(latents_std or ones).view(-1, 1, 1), persistent=False)

    def encode(self, pixel_frames: PixelFrames, state: State | None = None) -> tuple[Latents, State]:
        """Latents of 4n pixel frames, and the state with which the next 4k frames continue.

        Raises:
            ValueError: where frames do not come in groups of 4, or height and width are no multiples of 8.
        """
        frames, _, height, width = pixel_frames.shape[1:]
        if frames % TEMPORAL_STRIDE or height % SPATIAL_STRIDE or width % SPATIAL_STRIDE:
            raise ValueError(
                f"{frames} frames of {height}x{width} pixels do not fill groups of {TEMPORAL_STRIDE} frames and"
                f" squares of {SPATIAL_STRIDE}; trim or pad them"
            )
        latents, state = self.encoder(2 * pixel_frames - 1, state)
        return (latents - self.mean) / self.std, state

    def decode(self, latents: Latents, state: State | None = None) -> tuple[PixelFrames, State]:
        """Four pixel frames per latent frame, clamped to [0, 1], and the state for the next latents."""
        pixels, state = self.decode_unclamped(latents, state)
        return pixels.clamp(0, 1), state

    def decode_unclamped(self, latents: Latents, state: State | None = None) -> tuple[PixelFrames, State]:
        """As `decode`, for training: a clamp would stop gradients."""
        pixels, state = self.decoder(latents * self.std + self.mean, state)
        return pixels / 2 + 0.5, state
