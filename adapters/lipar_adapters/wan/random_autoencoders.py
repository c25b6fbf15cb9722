"""Autoencoders of Wan models with random weights, for the bench; made on the default device."""

from typing import Any

import torch
from torch import nn

from lipar_adapters.wan.autoencoder import WanAutoencoder
from lipar_adapters.wan.taehv import Taehv
from lipar_adapters.wan.taehv_network import VERSIONS, TaehvNetwork, Version


def random_taehv(channels: int, dtype: torch.dtype) -> Taehv:
    """TAEHV for latents of so many channels: the release for Wan 2.1 or 2.2, or one of its form."""
    released = [version for version in VERSIONS.values() if version.latent_channels == channels]
    version = released[0] if released else Version("of random weights", channels, 1)
    return Taehv(TaehvNetwork(version).to(dtype))


def random_wan(
    channels: int, dtype: torch.dtype, *, channels_last: bool = False, **sizes: Any
) -> WanAutoencoder:
    """The autoencoder of Wan 2.1, for latents of so many channels.

    Args:
        channels: Wan 2.1 has 16.
        dtype: type of the weights.
        channels_last: lay the weights of convolutions out channels-last; what they compute then is as well.
        sizes: of `diffusers.AutoencoderKLWan`; default: those of Wan 2.1.
    """
    from diffusers import AutoencoderKLWan

    scale = {"latents_mean": [0.0] * channels, "latents_std": [1.0] * channels}
    vae = AutoencoderKLWan(z_dim=channels, **scale, **sizes)
    nn.Module.to(vae, dtype)  # that of diffusers warns of a list that is empty here
    if channels_last:
        for module in vae.modules():
            if isinstance(module, nn.Conv3d):
                module.to(memory_format=torch.channels_last_3d)  # type: ignore[call-overload]
            elif isinstance(module, nn.Conv2d):
                module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return WanAutoencoder(vae)
