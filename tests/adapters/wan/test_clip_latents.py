"""A clip as latents: in the scale of the transformer, and only where its size and length fit the pipeline."""

import pytest
import torch
from wan_toys import toy_pipeline

from lipar.testing.closeness import assert_near
from lipar_adapters.wan.clip_latents import check_clip, latents_of_clip, token_pixels, token_size


def test_latents_are_the_posteriors_mean_normalised_as_the_config_says() -> None:
    pipe = toy_pipeline("t2v")
    clip = torch.rand(1, 3, 5, 32, 48, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.no_grad():
        raw = pipe.vae.encode(clip).latent_dist.mean
    mean, std = (
        torch.tensor(v).view(1, -1, 1, 1, 1)
        for v in (pipe.vae.config.latents_mean, pipe.vae.config.latents_std)
    )
    latents = latents_of_clip(pipe, clip)
    assert latents.shape == (1, 2, 16, 4, 6) and latents.dtype == torch.float32
    assert_near(latents, ((raw - mean) / std).transpose(1, 2), 1e-6)


def test_a_token_is_a_patch_of_latents() -> None:
    pipe = toy_pipeline("t2v")
    assert token_size(pipe) == (16, 16) and token_pixels(pipe) == 16


def test_the_second_expert_is_asked_where_the_first_is_missing() -> None:
    pipe = toy_pipeline("t2v-a14b")
    pipe.transformer = None
    assert token_size(pipe) == (16, 16)


@pytest.mark.parametrize(
    ("frames", "height", "width", "said"),
    [
        (8, 32, 32, "trim to 5 or repeat the last frame up to 9"),
        (0, 32, 32, "trim to 1"),
        (5, 40, 32, "32x40 pixels do not divide into tokens of 16x16; take 32x32"),
        (5, 8, 32, "take 32x16"),
    ],
)
def test_a_clip_that_would_be_rounded_is_refused(frames: int, height: int, width: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        check_clip(toy_pipeline("t2v"), frames=frames, height=height, width=width)


def test_a_clip_that_fits_passes() -> None:
    check_clip(toy_pipeline("t2v"), frames=9, height=32, width=48)
