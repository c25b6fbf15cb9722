"""The tiny autoencoder with the interface of `diffusers.AutoencoderKLWan`, as far as Wan's pipelines use it."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from diffusers.configuration_utils import ConfigMixin, register_to_config
from diffusers.models.autoencoders.vae import DecoderOutput
from diffusers.models.modeling_outputs import AutoencoderKLOutput
from diffusers.models.modeling_utils import ModelMixin
from jaxtyping import Float
from torch import Tensor

from lipar.regions.stages import StagedDecoder
from lipar_adapters.frame_layers import State
from lipar_adapters.tiny.autoencoder import (
    SPATIAL_STRIDE,
    TEMPORAL_STRIDE,
    TinyVideoAutoencoder,
    hold_first_frame,
)

LATENTS_TOGETHER = 4
"""Latent frames encoded or decoded at a time, which bounds the memory."""


class Certain:
    """A distribution at one point, since the tiny autoencoder has no variance."""

    def __init__(self, latents: Float[Tensor, "b c t h w"]) -> None:
        self.mean = latents

    def mode(self) -> Float[Tensor, "b c t h w"]:
        """The latents."""
        return self.mean

    def sample(self, generator: torch.Generator | None = None) -> Float[Tensor, "b c t h w"]:
        """The latents; nothing is drawn."""
        return self.mean


class TinyWanAutoencoder(ModelMixin, ConfigMixin):
    """`TinyVideoAutoencoder` with channels first, pixels in [-1, 1], and 1 + 4n pixel frames to 1 + n latent ones.

    The first pixel frame is encoded four times over, so that it has a latent frame of its own, and three of the four
    frames that come back for it are dropped. Clips go through as a stream.

    Args:
        widths, mean, std: options of the `TinyVideoAutoencoder`, whose latents are already normalised; so
            `latents_mean` and `latents_std`, by which pipelines normalise, are 0 and 1.
        tau_short, tau_long: thresholds of pruning, calibrated to these latents.
    """

    @register_to_config
    def __init__(
        self,
        z_dim: int = 16,
        widths: Sequence[int] = (32, 64, 96),
        mean: list[float] | None = None,
        std: list[float] | None = None,
        latents_mean: list[float] | None = None,
        latents_std: list[float] | None = None,
        scale_factor_temporal: int = TEMPORAL_STRIDE,
        scale_factor_spatial: int = SPATIAL_STRIDE,
        tau_short: float = 0.0,
        tau_long: float = 0.0,
    ) -> None:
        super().__init__()
        self.autoencoder = TinyVideoAutoencoder(z_dim, widths, mean, std)
        self.register_to_config(
            latents_mean=latents_mean or [0.0] * z_dim, latents_std=latents_std or [1.0] * z_dim
        )
        self.tau_short, self.tau_long = tau_short, tau_long
        # Wan's video-to-video reads its factors from here: two of three halvings halve time, too.
        self.temperal_downsample = [False, True, True]

    @classmethod
    def around(
        cls, autoencoder: TinyVideoAutoencoder, tau_short: float, tau_long: float
    ) -> "TinyWanAutoencoder":
        """This interface for an autoencoder; weights are shared."""
        config = autoencoder.config
        vae = cls(
            config.latent_channels, config.widths, config.latents_mean, config.latents_std,
            tau_short=tau_short, tau_long=tau_long,
        )  # fmt: skip
        vae.autoencoder = autoencoder
        return vae.eval()

    def encode(self, pixel_frames: Float[Tensor, "b 3 frames height width"], return_dict: bool = True) -> Any:
        """Latents of 1 + 4n pixel frames in [-1, 1], as a distribution at one point.

        Raises:
            ValueError: for another number of frames; or height and width are no multiples of 8.
        """
        count = pixel_frames.shape[2]
        if count % TEMPORAL_STRIDE != 1:
            fits = max(1, (count - 1) // TEMPORAL_STRIDE * TEMPORAL_STRIDE + 1)
            raise ValueError(f"{count} pixel frames are not 1 + {TEMPORAL_STRIDE}n; trim them to {fits}")
        held = hold_first_frame(pixel_frames.transpose(1, 2) / 2 + 0.5)
        state: State | None = None
        latents = []
        for piece in held.split(LATENTS_TOGETHER * TEMPORAL_STRIDE, 1):
            encoded, state = self.autoencoder.encode(piece, state)
            latents.append(encoded)
        posterior = Certain(torch.cat(latents, 1).transpose(1, 2))
        return AutoencoderKLOutput(latent_dist=posterior) if return_dict else (posterior,)

    def decode(self, latents: Float[Tensor, "b c t h w"], return_dict: bool = True) -> Any:
        """Pixel frames in [-1, 1], `b 3 1+4n height width` of 1 + n latent frames."""
        state: State | None = None
        pixel_frames = []
        for piece in latents.transpose(1, 2).split(LATENTS_TOGETHER, 1):
            decoded, state = self.autoencoder.decode(piece, state)
            pixel_frames.append(decoded)
        sample = 2 * torch.cat(pixel_frames, 1)[:, TEMPORAL_STRIDE - 1 :].transpose(1, 2) - 1
        return DecoderOutput(sample=sample) if return_dict else (sample,)

    def staged_clip(self) -> tuple[StagedDecoder, Callable[[Tensor], Tensor]]:
        """A stream that can decode regions, and what makes of its pixel frames of a clip what `decode` returns."""

        def as_sample(pixel_frames: Tensor) -> Tensor:
            return 2 * pixel_frames[:, TEMPORAL_STRIDE - 1 :].transpose(1, 2) - 1

        return self.autoencoder.staged_decoder(), as_sample
