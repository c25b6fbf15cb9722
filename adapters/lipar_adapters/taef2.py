"""TAEF2, the tiny autoencoder of FLUX.2's latents (Bohan, MIT), frame by frame, from its two files.

It has no time: every pixel frame is a latent frame of 32 channels at an eighth of the size. So it is no part of a video
model here; `lipar analyze --taef2` measures it. The layers are diffusers' `AutoencoderTiny`, with three blocks on each
side that also see the mean over the picture (`pool`), which that class does not have.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from lipar.types import Latents, PixelFrames

CHANNELS = 64
LATENT_CHANNELS = 32
POOLED = {"encoder": (11, 12, 13), "decoder": (3, 4, 5)}
"""Places of the blocks with `pool` in the files' numbering."""
FILES = {"encoder": "taef2_encoder.pth", "decoder": "taef2_decoder.pth"}


class Taef2:
    """The autoencoder (implements `lipar.protocols.Autoencoder`); see `Taef2.load`.

    Args:
        encoder: pictures in [0, 1] to latents.
        decoder: latents to pictures.
    """

    spatial_factor = 8
    latent_channels = LATENT_CHANNELS
    first_pixel_frames = 1
    next_pixel_frames = 1
    tau_short = 0.15
    tau_long = 0.3

    def __init__(self, encoder: nn.Module, decoder: nn.Module) -> None:
        self.encoder_layers, self.decoder_layers = encoder, decoder

    @classmethod
    def load(cls, folder: Path, device: torch.device) -> "Taef2":
        """Read the weights.

        Args:
            folder: with `taef2_encoder.pth` and `taef2_decoder.pth`.
            device: where it runs.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: a file holds other weights; the message names the first tensor that differs.
        """
        layers = {}
        for side, name in FILES.items():
            if not (folder / name).is_file():
                raise FileNotFoundError(
                    f"TAEF2 is two files, {' and '.join(FILES.values())}; there is no {folder / name}"
                )
            weights = torch.load(folder / name, map_location="cpu", weights_only=True)
            layers[side] = _filled(make_layers(side), weights, folder / name).to(device).eval()
        return cls(layers["encoder"], layers["decoder"])

    def encoder(self) -> Callable[[PixelFrames], Latents]:
        """A function from RGB in [0, 1] to latents."""

        def encode(pixel_frames: PixelFrames) -> Latents:
            return _per_picture(self.encoder_layers, pixel_frames)

        return encode

    def decoder(self) -> Callable[[Latents], PixelFrames]:
        """A function from latents to RGB in [0, 1]."""

        def decode(latents: Latents) -> PixelFrames:
            return _per_picture(self.decoder_layers, latents).clamp(0, 1)

        return decode


def make_layers(side: str) -> nn.Sequential:
    """The layers of one side, numbered as in its file, with random weights.

    Args:
        side: `encoder` or `decoder`.
    """
    from diffusers import AutoencoderTiny

    layers = list(getattr(AutoencoderTiny(latent_channels=LATENT_CHANNELS), side).layers)
    if side == "decoder":
        layers.insert(0, SoftClamp())
    for place in POOLED[side]:
        layers[place] = PooledBlock(layers[place])
    return nn.Sequential(*layers)


class SoftClamp(nn.Module):
    """Latents within 3, softly, before they are decoded."""

    def forward(self, latents: Tensor) -> Tensor:
        """3 tanh(x / 3).

        Args:
            latents: of pictures.
        """
        return 3 * torch.tanh(latents / 3)


class PooledBlock(nn.Module):
    """A block of `AutoencoderTiny` to whose input a normalised projection is added before its convolutions.

    Args:
        block: of diffusers; its convolutions are used.
    """

    def __init__(self, block: Any) -> None:
        super().__init__()
        self.conv, self.fuse = block.conv, block.fuse
        self.pool = nn.Sequential(
            nn.Conv2d(CHANNELS, 4 * CHANNELS, 1, bias=False),
            nn.GroupNorm(4, 4 * CHANNELS),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * CHANNELS, CHANNELS, 1, bias=False),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Features of the same shape.

        Args:
            x: features of pictures.
        """
        x = x + self.pool(x)
        fused: Tensor = self.fuse(self.conv(x) + x)
        return fused


def _per_picture(layers: nn.Module, frames: Tensor) -> Tensor:
    pictures: Tensor = layers(frames.flatten(0, 1))
    return pictures.unflatten(0, frames.shape[:2])


def _filled(layers: nn.Sequential, weights: Mapping[str, Tensor], path: Path) -> nn.Sequential:
    wanted = layers.state_dict()
    for key, value in wanted.items():
        came = list(weights[key].shape) if key in weights else "no such tensor"
        if came != list(value.shape):
            raise ValueError(f"{path} holds no TAEF2: {key} must be {list(value.shape)}, got {came}")
    for key in weights:
        if key not in wanted:
            raise ValueError(f"{path} holds no TAEF2: it has {key}, which TAEF2 does not have")
    layers.load_state_dict(dict(weights))
    return layers
