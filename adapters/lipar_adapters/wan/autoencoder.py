"""The `AutoencoderKLWan` of diffusers as a stream: its own `encode` and `decode` keep nothing between two calls."""

from typing import Any, TypeAlias

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lipar.protocols import Autoencoder
from lipar.regions.stages import StagedDecoder
from lipar.types import Latents
from lipar.watch.slow_convolutions import warn_of_slow_convolutions
from lipar_adapters.wan.decoder_stages import can_be_staged, staged

PixelClip: TypeAlias = Float[Tensor, "b pixel_frames 3 height width"]
"""RGB video in [0, 1]; axes have other names than those of latents, so that both can stand in one signature."""

TAU_SHORT, TAU_LONG = 0.15, 0.3
"""Thresholds of the `l1` criterion on the latents of Wan's autoencoders (arXiv 2603.05811)."""


class WanAutoencoder:
    """Wan's video autoencoder, one latent frame at a time (implements `lipar.protocols.Autoencoder`).

    A stream begins with one pixel frame; every further latent frame stands for four. A stream keeps two
    frames of features for each convolution, so memory does not grow with the video. Tiling is not applied.

    Args:
        vae: a `diffusers.AutoencoderKLWan`: 16 channels at 1/8 (Wan 2.1, A14B), or 48 at 1/16 (Wan 2.2 TI2V 5B).
            Its convolutions are computed in a faster form on a CPU from then on.
        tau_short: threshold of the `l1` criterion on these latents; the default is the paper's, for Wan 2.1.
        tau_long: likewise, against the last clean frame.

    Warns:
        SlowConvolutionsWarning: this release of PyTorch would run it slowly.
    """

    first_pixel_frames = 1
    next_pixel_frames = 4

    def __init__(self, vae: Any, *, tau_short: float = TAU_SHORT, tau_long: float = TAU_LONG) -> None:
        config = vae.config
        if not (len(config.latents_mean) == len(config.latents_std) == config.z_dim):
            raise ValueError(
                f"latents_mean and latents_std of this autoencoder have {len(config.latents_mean)} and "
                f"{len(config.latents_std)} entries for {config.z_dim} channels; its config.json belongs to others"
            )
        stride = 2 ** sum(config.temperal_downsample)
        if stride != self.next_pixel_frames:
            raise ValueError(f"4 pixel frames make one latent frame of Wan; of this autoencoder {stride}")
        from lipar_adapters.wan.frame_convolutions import compute_by_frames

        self.vae = vae.eval().requires_grad_(False)
        warn_of_slow_convolutions(self.device, self.dtype)
        compute_by_frames(vae)
        self.patch: int = config.patch_size or 1
        self.spatial_factor: int = 2 ** len(config.temperal_downsample) * self.patch
        self.latent_channels: int = config.z_dim
        self.tau_short = tau_short
        self.tau_long = tau_long

    @property
    def dtype(self) -> torch.dtype:
        """Type of the weights, in which frames are encoded and decoded."""
        return next(self.vae.parameters()).dtype

    @property
    def device(self) -> torch.device:
        """Device of the weights."""
        return next(self.vae.parameters()).device

    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and standard deviation of the raw latents, per channel: the DiT sees `(latents - mean) / std`."""
        config = self.vae.config
        mean, std = (
            torch.tensor(values, device=self.device, dtype=self.dtype).view(1, 1, -1, 1, 1)
            for values in (config.latents_mean, config.latents_std)
        )
        return mean, std

    def encoder(self) -> "EncoderStream":
        """A fresh stream of pixel frames; each call takes those of whole latent frames, and gives these."""
        return EncoderStream(self)

    def decoder(self) -> "DecoderStream":
        """A fresh stream of latents; each call takes any number of frames."""
        return DecoderStream(self)

    def staged_decoder(self) -> StagedDecoder | None:
        """A fresh stream that can decode regions; None for the decoder of Wan 2.2 TI2V 5B, which has none."""
        if not can_be_staged(self.vae):
            return None
        return staged(self.vae, prepare=self.raw, finish=_as_pixels)

    def raw(self, latents: Latents) -> Tensor:
        """What the library's decoder takes, `b c t h w`, of latents in the scale that the DiT sees."""
        mean, std = self.scale()
        return (latents.to(self.device, self.dtype) * std + mean).transpose(1, 2)


def _as_pixels(output: Tensor) -> Tensor:
    """Pixels in [0, 1] of the decoder's output."""
    return output.clamp(-1, 1) / 2 + 0.5


class _Features:
    """What the convolutions of an encoder or decoder remember of the frames before."""

    def __init__(self, network: Any) -> None:
        from diffusers.models.autoencoders.autoencoder_kl_wan import WanCausalConv3d

        convolutions = sum(isinstance(module, WanCausalConv3d) for module in network.modules())
        self._network = network
        self._cache: list[Any] = [None] * convolutions

    def __call__(self, frames: Tensor, **options: Any) -> Tensor:
        return self._network(frames, feat_cache=self._cache, feat_idx=[0], **options)


class EncoderStream:
    """Pixel frames in [0, 1] to latents in the scale that the DiT sees; the posterior's mean, so nothing is drawn."""

    def __init__(self, autoencoder: WanAutoencoder) -> None:
        self._autoencoder = autoencoder
        self._features = _Features(autoencoder.vae.encoder)
        self._begun = False

    def __call__(self, pixel_frames: PixelClip) -> Latents:
        """Latents of the coming frames: 1 + 4n at first, then 4n.

        Raises:
            ValueError: another number of frames, or a size that is no multiple of `spatial_factor`.
        """
        autoencoder = self._autoencoder
        check_pixel_frames(pixel_frames, autoencoder, begun=self._begun)
        frames = pixel_frames.to(autoencoder.device, autoencoder.dtype) * 2 - 1
        if autoencoder.patch > 1:
            frames = rearrange(
                frames, "b t c (h p) (w q) -> b t (c q p) h w", p=autoencoder.patch, q=autoencoder.patch
            )
        first = [] if self._begun else [autoencoder.first_pixel_frames]
        further = (frames.shape[1] - sum(first)) // autoencoder.next_pixel_frames
        pieces = frames.transpose(1, 2).split([*first, *[autoencoder.next_pixel_frames] * further], dim=2)
        with torch.no_grad():
            moments = [autoencoder.vae.quant_conv(self._features(piece)) for piece in pieces]
        self._begun = True
        mean, std = autoencoder.scale()
        return (torch.cat(moments, dim=2).transpose(1, 2)[:, :, : autoencoder.latent_channels] - mean) / std


def check_pixel_frames(pixel_frames: PixelClip, autoencoder: Autoencoder, *, begun: bool) -> None:
    """Refuse frames that make no whole latents.

    Args:
        pixel_frames: the frames of a call of an encoder's stream.
        autoencoder: says how many pixels and frames make a latent.
        begun: this is not the first call of the stream.

    Raises:
        ValueError: their number or their size does not fit.
    """
    count, height, width = pixel_frames.shape[1], *pixel_frames.shape[3:]
    factor, group = autoencoder.spatial_factor, autoencoder.next_pixel_frames
    if height % factor or width % factor:
        raise ValueError(
            f"pixel frames of {height}x{width} do not divide into latents; crop or pad to multiples of {factor}"
        )
    first = 0 if begun else autoencoder.first_pixel_frames
    if count <= 0 or count < first or (count - first) % group:
        wanted = f"{group}n" if begun else f"{first} + {group}n"
        where = "go on with" if begun else "begin with"
        raise ValueError(
            f"Wan streams {where} {wanted} pixel frames, got {count}; hold frames back or repeat the last"
        )


class DecoderStream:
    """Latents in the scale that the DiT sees to pixel frames in [0, 1]: one for the first latent frame, then four."""

    def __init__(self, autoencoder: WanAutoencoder) -> None:
        self._autoencoder = autoencoder
        self._features = _Features(autoencoder.vae.decoder)
        self._begun = False

    def __call__(self, latents: Latents) -> PixelClip:
        """Pixel frames of the next latent frames: 1 + 4n at first, then 4n."""
        autoencoder = self._autoencoder
        raw = autoencoder.raw(latents)
        pieces = []
        with torch.no_grad():
            for frame in raw.split(1, dim=2):
                options = {} if self._begun else {"first_chunk": True}
                pieces.append(self._features(autoencoder.vae.post_quant_conv(frame), **options))
                self._begun = True
        frames = torch.cat(pieces, dim=2).transpose(1, 2)
        if autoencoder.patch > 1:
            frames = rearrange(
                frames, "b t (c q p) h w -> b t c (h p) (w q)", p=autoencoder.patch, q=autoencoder.patch
            )
        return _as_pixels(frames)
