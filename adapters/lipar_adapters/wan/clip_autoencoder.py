"""Streaming autoencoders with the interface of `diffusers.AutoencoderKLWan`, as far as Wan's pipelines use it."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from diffusers.utils.accelerate_utils import apply_forward_hook
from jaxtyping import Float
from torch import Tensor

GROUP = 4
"""Pixel frames of every latent frame but the first, which has one."""
LATENTS_TOGETHER = 4
"""Latent frames encoded or decoded at a time, which bounds the memory."""


class Certain:
    """A distribution at one point, for an autoencoder without a variance."""

    def __init__(self, latents: Float[Tensor, "b c t h w"]) -> None:
        self.mean = latents

    def mode(self) -> Float[Tensor, "b c t h w"]:
        """The latents."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "b c t h w"]:
        """The latents; nothing is drawn."""
        return self.mean


class ClipAutoencoder(ModelMixin, ConfigMixin, ABC):
    """Channels first, pixels in [-1, 1], and 1 + 4n pixel frames to 1 + n latent ones; clips go through as a stream.

    Subclasses register what pipelines read in the config: `z_dim`, `latents_mean` and `latents_std`, by which they
    normalise, `scale_factor_temporal` and `scale_factor_spatial`.
    """

    temperal_downsample = (False, True, True)
    """Wan's video-to-video reads its factors from here (and spells it so): two of three halvings halve time, too."""

    @abstractmethod
    def encoder(self) -> Callable[[Tensor], Tensor]:
        """A stream of pixel frames in [0, 1], `b frames 3 height width`: 1 + 4n at first, then 4n; gives latents."""

    @abstractmethod
    def decoder(self) -> Callable[[Tensor], Tensor]:
        """A stream of latents, `b t c h w`; gives one pixel frame for the first latent frame, then four."""

    @apply_forward_hook
    def encode(self, pixel_frames: Float[Tensor, "b 3 frames height width"], return_dict: bool = True) -> Any:
        """Latents of 1 + 4n pixel frames in [-1, 1], as a distribution at one point.

        Raises:
            ValueError: for another number of frames, or a size that does not divide into latents.
        """
        count = pixel_frames.shape[2]
        if count % GROUP != 1:
            fits = max(1, (count - 1) // GROUP * GROUP + 1)
            raise ValueError(f"{count} pixel frames are not 1 + {GROUP}n; trim them to {fits}")
        encode = self.encoder()
        frames = pixel_frames.transpose(1, 2) / 2 + 0.5
        first = 1 + GROUP * (LATENTS_TOGETHER - 1)
        pieces = [frames[:, :first], *frames[:, first:].split(GROUP * LATENTS_TOGETHER, 1)]
        latents = torch.cat([encode(piece) for piece in pieces if piece.shape[1]], 1)
        posterior = Certain(latents.transpose(1, 2))
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    @apply_forward_hook
    def decode(self, latents: Float[Tensor, "b c t h w"], return_dict: bool = True) -> Any:
        """Pixel frames in [-1, 1], `b 3 1+4n height width` of 1 + n latent frames."""
        decode = self.decoder()
        pieces = latents.transpose(1, 2).split(LATENTS_TOGETHER, 1)
        sample = 2 * torch.cat([decode(piece) for piece in pieces], 1).transpose(1, 2) - 1
        return DecoderOutput(sample=sample) if return_dict else (sample,)
