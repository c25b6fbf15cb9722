"""Wan's autoencoder in pieces gives what diffusers gives for the whole clip."""

from typing import Any

import pytest
import torch
from wan_toys import toy_vae

from lipar.protocols import Autoencoder
from lipar.testing.closeness import assert_near
from lipar_adapters.wan.autoencoder import WanAutoencoder

PIECES = [[13], [1, 4, 4, 4], [1, 12], [5, 8], [9, 4]]


@pytest.fixture(scope="module")
def vae() -> Any:
    return toy_vae()


def patchified_vae() -> Any:
    """The form of Wan 2.2 TI2V: residual resampling and 2x2 pixels to a channel, 1/16 in all."""
    return toy_vae(
        z_dim=6,
        in_channels=12,
        out_channels=12,
        patch_size=2,
        is_residual=True,
        base_dim=4,
        scale_factor_spatial=16,
        latents_mean=[0.1] * 6,
        latents_std=[2.0] * 6,
    )


def clip(frames: int, height: int = 32, width: int = 48) -> torch.Tensor:
    return torch.rand(1, frames, 3, height, width, generator=torch.Generator().manual_seed(3))


def scale(vae: Any) -> tuple[torch.Tensor, torch.Tensor]:
    mean, std = (torch.tensor(values) for values in (vae.config.latents_mean, vae.config.latents_std))
    return mean.view(1, 1, -1, 1, 1), std.view(1, 1, -1, 1, 1)


def whole_latents(vae: Any, frames: torch.Tensor) -> torch.Tensor:
    """diffusers' own `encode`, normalised as its pipelines do."""
    mean, std = (
        torch.tensor(values).view(1, 1, -1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    with torch.no_grad():
        latents = vae.encode(frames.transpose(1, 2) * 2 - 1).latent_dist.mode()
    return (latents.transpose(1, 2) - mean) / std


def whole_frames(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    mean, std = (
        torch.tensor(values).view(1, 1, -1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    with torch.no_grad():
        return vae.decode((latents * std + mean).transpose(1, 2)).sample.transpose(1, 2) / 2 + 0.5


def test_it_is_an_autoencoder_of_ours(vae: Any) -> None:
    autoencoder = WanAutoencoder(vae)
    assert isinstance(autoencoder, Autoencoder)
    assert (autoencoder.spatial_factor, autoencoder.latent_channels) == (8, 16)
    assert (autoencoder.tau_short, autoencoder.tau_long) == (0.15, 0.3)


@pytest.mark.parametrize("pieces", PIECES)
def test_encoding_in_pieces_is_encoding_the_whole_clip(vae: Any, pieces: list[int]) -> None:
    frames = clip(13)
    encode = WanAutoencoder(vae).encoder()
    latents = torch.cat([encode(piece) for piece in frames.split(pieces, dim=1)], dim=1)
    assert_near(latents, whole_latents(toy_vae(), frames), 1e-5)


@pytest.mark.parametrize("pieces", [[4], [1, 1, 1, 1], [3, 1], [1, 3]])
def test_decoding_in_pieces_is_decoding_the_whole_clip(vae: Any, pieces: list[int]) -> None:
    latents = torch.randn(1, 4, 16, 4, 6, generator=torch.Generator().manual_seed(4))
    decode = WanAutoencoder(vae).decoder()
    frames = torch.cat([decode(piece) for piece in latents.split(pieces, dim=1)], dim=1)
    assert frames.shape == (1, 13, 3, 32, 48)
    # the toy's frames are almost equal, with a deviation of .05, and its sums are taken in another order
    assert_near(frames, whole_frames(toy_vae(), latents), 1e-4)


def test_the_patchified_autoencoder_of_wan_2_2_streams_too() -> None:
    frames, autoencoder = clip(9), WanAutoencoder(patchified_vae())
    encode, decode = autoencoder.encoder(), autoencoder.decoder()
    latents = torch.cat([encode(piece) for piece in frames.split([5, 4], dim=1)], dim=1)
    assert (autoencoder.spatial_factor, latents.shape) == (16, (1, 3, 6, 2, 3))
    assert_near(latents, whole_latents(patchified_vae(), frames), 1e-5)
    decoded = torch.cat([decode(piece) for piece in latents.split(1, dim=1)], dim=1)
    assert_near(decoded, whole_frames(patchified_vae(), latents), 6e-5)


def test_two_streams_do_not_disturb_each_other(vae: Any) -> None:
    frames, autoencoder = clip(5), WanAutoencoder(vae)
    first, second = autoencoder.encoder(), autoencoder.encoder()
    alone = autoencoder.encoder()(frames)
    taken = [first(frames[:, :1])]
    second(1 - frames)
    taken.append(first(frames[:, 1:]))
    assert torch.equal(torch.cat(taken, dim=1), torch.cat([alone[:, :1], alone[:, 1:]], dim=1))


def test_memory_of_a_stream_does_not_grow(vae: Any) -> None:
    encode = WanAutoencoder(vae).encoder()

    def held() -> int:
        return sum(entry.numel() for entry in encode._features._cache if isinstance(entry, torch.Tensor))

    encode(clip(9))
    after_three = held()
    encode(clip(16))
    assert held() == after_three > 0


@pytest.mark.parametrize(("begun", "count"), [(False, 4), (False, 3), (True, 1), (True, 6)])
def test_frames_that_make_no_whole_latent_are_refused(vae: Any, begun: bool, count: int) -> None:
    encode = WanAutoencoder(vae).encoder()
    if begun:
        encode(clip(1))
    with pytest.raises(ValueError, match=rf"4n pixel frames, got {count}"):
        encode(clip(count))


def test_a_size_that_does_not_divide_is_refused(vae: Any) -> None:
    with pytest.raises(ValueError, match="30x48 do not divide into latents; crop or pad to multiples of 8"):
        WanAutoencoder(vae).encoder()(clip(1, height=30))


def test_bfloat16_weights_take_float32_frames() -> None:
    autoencoder = WanAutoencoder(toy_vae().to(torch.bfloat16))
    latents = autoencoder.encoder()(clip(5))
    assert latents.dtype == torch.bfloat16
    assert autoencoder.decoder()(latents.float()).shape == (1, 5, 3, 32, 48)


def test_a_config_that_is_not_that_of_the_weights_is_refused() -> None:
    with pytest.raises(ValueError, match="autoencoder have 16 and 16 entries for 4 channels"):
        WanAutoencoder(toy_vae(z_dim=4))
