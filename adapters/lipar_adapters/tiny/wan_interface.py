"""The tiny autoencoder with the interface of `diffusers.AutoencoderKLWan`, as far as Wan's pipelines use it."""

from collections.abc import Callable, Sequence

from diffusers.configuration_utils import register_to_config

# diffusers looks here for the base class of the autoencoder when it loads a saved pipeline
from diffusers.models.modeling_utils import ModelMixin as ModelMixin
from torch import Tensor

from lipar.regions.stages import StagedDecoder
from lipar_adapters.frame_layers import State
from lipar_adapters.tiny.autoencoder import (
    SPATIAL_STRIDE,
    TEMPORAL_STRIDE,
    TinyVideoAutoencoder,
    hold_first_frame,
)
from lipar_adapters.wan.clip_autoencoder import ClipAutoencoder


class TinyWanAutoencoder(ClipAutoencoder):
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

    def encoder(self) -> Callable[[Tensor], Tensor]:
        """See `ClipAutoencoder.encoder`."""
        state: State | None = None

        def encode(pixel_frames: Tensor) -> Tensor:
            nonlocal state
            frames = pixel_frames if state else hold_first_frame(pixel_frames)
            latents, state = self.autoencoder.encode(frames, state)
            return latents

        return encode

    def decoder(self) -> Callable[[Tensor], Tensor]:
        """See `ClipAutoencoder.decoder`."""
        state: State | None = None

        def decode(latents: Tensor) -> Tensor:
            nonlocal state
            held = 0 if state else TEMPORAL_STRIDE - 1
            pixel_frames, state = self.autoencoder.decode(latents, state)
            return pixel_frames[:, held:]

        return decode

    def staged_decoder(self) -> StagedDecoder:
        """A new stream that can decode regions; of whole frames it gives what `decoder` gives."""
        return self.autoencoder.staged_decoder(drop=TEMPORAL_STRIDE - 1)
