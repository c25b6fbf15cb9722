"""A small causal video autoencoder: 4 pixel frames and 8x8 pixels become one latent of 16 channels.

The design follows the idea of TAEHV (Bohan, "tiny autoencoder for hunyuan video"): convolutions that see only the
present and the previous frame's features, frames pooled by 2 twice on the way down and grown by 2 twice on the way
up, so that the whole streaming state is one feature map per memory block. No code or weights of TAEHV are used. How
the layers are computed is in `lipar_adapters/frame_layers.py`.
"""

from collections.abc import Sequence
from typing import TypeAlias, cast

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor, nn

from lipar.regions.stages import StagedDecoder
from lipar_adapters.frame_layers import (
    Features,
    FrameLayer,
    Images,
    MemoryBlock,
    NewImages,
    Resized,
    State,
    enlarge,
    frames_together,
    join_in_time,
    per_frame,
    run_in_groups,
    split_in_time,
)
from lipar_adapters.frame_stages import staged

PixelFrames: TypeAlias = Float[Tensor, "b frames 3 height width"]
Latents: TypeAlias = Float[Tensor, "b t c h w"]
TEMPORAL_STRIDE = 4
SPATIAL_STRIDE = 8


def conv(channels_in: int, channels_out: int, kernel: int = 3, stride: int = 1) -> nn.Conv2d:
    """A convolution that keeps the size (at stride 1), zero-padded at the border."""
    return nn.Conv2d(channels_in, channels_out, kernel, stride, padding=kernel // 2)


def hold_first_frame(pixel_frames: PixelFrames) -> Resized:
    """The first frame four times: so 1 + 4n frames, as Wan's pipelines count them, fill groups of 4.

    The first latent frame then holds the first pixel frame alone; `decode` gives three copies of it to be dropped.
    """
    return torch.cat([pixel_frames[:, :1].expand(-1, TEMPORAL_STRIDE - 1, -1, -1, -1), pixel_frames], 1)


class TinyMemoryBlock(MemoryBlock):
    """Residual block of two convolutions."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        last = conv(channels, channels)
        self.layers = nn.Sequential(conv(2 * channels, channels), nn.ReLU(inplace=True), last)
        with torch.no_grad():
            last.weight.mul_(0.3)
            if last.bias is not None:
                last.bias.zero_()

    def update(self, both: Images) -> NewImages:
        """What the convolutions make of a frame and the one before."""
        return self.layers(both)


class PoolFrames(FrameLayer):
    """Two frames become one, at half the height and width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(conv(2 * channels_in, channels_out, stride=2), nn.ReLU(inplace=True))

    def forward(self, features: Features) -> Resized:
        """Features of half as many frames, rows and columns."""
        return per_frame(self.layers, join_in_time(features, 2))


class GrowFrames(FrameLayer):
    """One frame becomes two, at twice the height and width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.split = conv(channels_in, 2 * channels_out, 1)
        # the names of the bundled weights: `enlarge.1` was the convolution after an `nn.Upsample`
        self.enlarge = nn.ModuleDict({"1": conv(channels_out, channels_out)})

    def forward(self, features: Features) -> Resized:
        """Features of twice as many frames, rows and columns."""
        grown = split_in_time(per_frame(self.split, features), 2)
        convolution = cast("nn.Conv2d", self.enlarge["1"])
        return per_frame(lambda images: enlarge(images, convolution).relu_(), grown)


class Stack(nn.Module):
    """Layers in order."""

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, features: Features, state: State | None, group: int) -> tuple[Resized, State]:
        """Features after all layers, and the streaming state with which the next frames continue.

        Args:
            features: of any number of frames.
            state: what the last call returned; None: the stream begins.
            group: number of frames that are computed together.
        """
        return run_in_groups(self.layers, features, state, group)


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
            nn.Sequential(
                nn.PixelUnshuffle(2),
                conv(12, fine),
                nn.ReLU(inplace=True),
                conv(fine, fine),
                nn.ReLU(inplace=True),
            ),
            PoolFrames(fine, middle),
            TinyMemoryBlock(middle),
            TinyMemoryBlock(middle),
            PoolFrames(middle, coarse),
            TinyMemoryBlock(coarse),
            TinyMemoryBlock(coarse),
            conv(coarse, latent_channels),
        )
        self.decoder = Stack(
            nn.Sequential(conv(latent_channels, coarse), nn.ReLU(inplace=True)),
            TinyMemoryBlock(coarse),
            TinyMemoryBlock(coarse),
            TinyMemoryBlock(coarse),
            TinyMemoryBlock(coarse),
            GrowFrames(coarse, middle),
            TinyMemoryBlock(middle),
            TinyMemoryBlock(middle),
            TinyMemoryBlock(middle),
            GrowFrames(middle, fine),
            TinyMemoryBlock(fine),
            TinyMemoryBlock(fine),
            TinyMemoryBlock(fine),
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
        latents_of_frame = len(pixel_frames) * height * width // SPATIAL_STRIDE**2
        group = TEMPORAL_STRIDE * frames_together(latents_of_frame, pixel_frames.device)
        latents, state = self.encoder(2 * pixel_frames - 1, state, group)
        return latents.sub_(self.mean).div_(self.std), state

    def decode(self, latents: Latents, state: State | None = None) -> tuple[PixelFrames, State]:
        """Four pixel frames per latent frame, clamped to [0, 1], and the state for the next latents."""
        pixels, state = self.decode_unclamped(latents, state)
        return pixels.clamp_(0, 1), state

    def decode_unclamped(self, latents: Latents, state: State | None = None) -> tuple[PixelFrames, State]:
        """As `decode`, for training: a clamp would stop gradients."""
        b, _, _, height, width = latents.shape
        group = frames_together(b * height * width, latents.device)
        pixels, state = self.decoder(latents * self.std + self.mean, state, group)
        return pixels.div_(2).add_(0.5), state

    def staged_decoder(self, drop: int = 0) -> StagedDecoder:
        """A new stream of the decoder that can decode regions; of whole frames it gives what `decode` gives.

        Args:
            drop: pixel frames at its start that are not given.
        """
        return staged(
            list(self.decoder.layers),
            prepare=lambda latents: latents * self.std + self.mean,
            finish=lambda pixels: pixels.div_(2).add_(0.5).clamp_(0, 1),
            scales={GrowFrames: 2, nn.Sequential: 2},
            drop=drop,
        )
