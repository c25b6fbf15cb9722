"""The tiny autoencoder behind the interface of diffusers' Wan autoencoder."""

from pathlib import Path

import pytest
import torch

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny import pipeline
from lipar_adapters.tiny.parts import load_config
from lipar_adapters.tiny.wan_interface import TinyWanAutoencoder


@pytest.mark.parametrize("frames", [1, 5, 21, 33])
@torch.no_grad()
def test_a_clip_of_one_and_four_times_n_frames_comes_back_as_long(
    vae: TinyWanAutoencoder, frames: int
) -> None:
    slow = (
        torch.linspace(-0.5, 0.5, 32)[None, :].expand(32, -1) + torch.linspace(0, 0.3, frames)[:, None, None]
    )
    clip = slow[None, None].expand(1, 3, -1, -1, -1).contiguous()
    latents = vae.encode(clip).latent_dist.mode()
    assert latents.shape == (1, 16, 1 + (frames - 1) // 4, 4, 4)
    assert torch.equal(latents, vae.encode(clip, return_dict=False)[0].sample())
    back = vae.decode(latents, return_dict=False)[0]
    assert back.shape == clip.shape
    assert (back - clip).abs().mean() < 0.08
    assert torch.equal(back, vae.decode(latents).sample)


@torch.no_grad()
def test_the_first_latent_frame_is_that_of_the_image_alone(vae: TinyWanAutoencoder) -> None:
    clip = torch.rand(1, 3, 9, 32, 48) * 2 - 1
    whole, alone = (vae.encode(part).latent_dist.mode() for part in (clip, clip[:, :, :1]))
    assert_near(whole[:, :, :1], alone, 2e-5)


@torch.no_grad()
def test_a_stream_gives_what_the_whole_clip_gives(
    vae: TinyWanAutoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = torch.rand(1, 3, 25, 16, 16) * 2 - 1
    latents = vae.encode(clip).latent_dist.mode()
    pixels = vae.decode(latents).sample
    monkeypatch.setattr("lipar_adapters.wan.clip_autoencoder.LATENTS_TOGETHER", 100)
    assert_near(vae.encode(clip).latent_dist.mode(), latents, 1e-5)
    assert_near(vae.decode(latents).sample, pixels, 1e-5)


def test_other_numbers_of_frames_are_refused(vae: TinyWanAutoencoder) -> None:
    with pytest.raises(ValueError, match="12 pixel frames are not 1 \\+ 4n; trim them to 9"):
        vae.encode(torch.zeros(1, 3, 12, 16, 16))


def test_the_autoencoder_says_what_pipelines_ask(vae: TinyWanAutoencoder, folder: Path) -> None:
    config = vae.config
    assert (config.z_dim, config.scale_factor_spatial, config.scale_factor_temporal) == (16, 8, 4)
    assert config.latents_mean == [0.0] * 16 and config.latents_std == [1.0] * 16
    assert 2 ** len(vae.temperal_downsample) == 8 and 2 ** sum(vae.temperal_downsample) == 4
    pipe = pipeline.image_to_video_pipeline(folder=folder)
    assert pipe.vae.tau_short == load_config()["tau_short"]
