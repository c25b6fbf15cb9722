"""TAEHV as the autoencoder of stock Wan pipelines."""

from pathlib import Path

import pytest
import torch
from taehv_toys import save_taehv
from wan_toys import toy_pipeline, toy_prompt

from lipar.testing.closeness import assert_near
from lipar_adapters.taehv_pipeline import TaehvWanAutoencoder
from lipar_adapters.wan.taehv import Taehv, load_taehv


@pytest.fixture(scope="module")
def autoencoder(tmp_path_factory: pytest.TempPathFactory) -> Taehv:
    return load_taehv(save_taehv(tmp_path_factory.mktemp("taehv")), dtype=torch.float32)


@pytest.mark.parametrize("frames", [1, 5, 21])
def test_a_clip_is_that_of_the_stream(autoencoder: Taehv, frames: int) -> None:
    clip = torch.rand(1, 3, frames, 16, 24) * 2 - 1
    vae = TaehvWanAutoencoder.around(autoencoder)
    latents = vae.encode(clip).latent_dist.mode()
    streamed = autoencoder.encoder()(clip.transpose(1, 2) / 2 + 0.5)
    assert_near(latents, streamed.transpose(1, 2), 1e-5)
    pixels = vae.decode(latents).sample
    assert pixels.shape == clip.shape
    assert_near(pixels, 2 * autoencoder.decoder()(streamed).transpose(1, 2) - 1, 1e-4)


def test_other_numbers_of_frames_are_refused(autoencoder: Taehv) -> None:
    with pytest.raises(ValueError, match=r"12 pixel frames are not 1 \+ 4n; trim them to 9"):
        TaehvWanAutoencoder.around(autoencoder).encode(torch.zeros(1, 3, 12, 16, 16))


@pytest.mark.parametrize("name", ["taew2_1.pth", "taew2_2.pth"])
def test_it_says_what_pipelines_ask(tmp_path: Path, name: str) -> None:
    loaded = load_taehv(save_taehv(tmp_path, name), dtype=torch.float32)
    config = TaehvWanAutoencoder.around(loaded).config
    assert (config.z_dim, config.scale_factor_spatial) == (loaded.latent_channels, loaded.spatial_factor)
    assert config.scale_factor_temporal == 4
    assert config.latents_mean == [0.0] * config.z_dim and config.latents_std == [1.0] * config.z_dim


@pytest.mark.parametrize("kind", ["t2v", "i2v-a14b", "i2v-5b"])
def test_a_stock_pipeline_makes_a_clip_with_it(autoencoder: Taehv, kind: str) -> None:
    from PIL import Image

    pipe = toy_pipeline(kind, vae=TaehvWanAutoencoder.around(autoencoder))
    image = {"image": Image.new("RGB", (48, 32), "orange")} if kind.startswith("i2v") else {}
    clip = pipe(
        **toy_prompt(), **image, height=32, width=48, num_frames=9, num_inference_steps=2, output_type="pt"
    ).frames
    assert clip.shape == (1, 9, 3, 32, 48)
    assert bool(clip.isfinite().all())


def test_a_saved_pipeline_loads_as_any_other(autoencoder: Taehv, tmp_path: Path) -> None:
    from diffusers import WanPipeline

    pipe = toy_pipeline("t2v", vae=TaehvWanAutoencoder.around(autoencoder))
    pipe.save_pretrained(tmp_path)
    again = WanPipeline.from_pretrained(
        tmp_path, local_files_only=True, tokenizer=None, text_encoder=None, transformer_2=None
    )
    latents = torch.randn(1, 16, 2, 2, 3)
    assert torch.equal(again.vae.decode(latents).sample, pipe.vae.decode(latents).sample)
