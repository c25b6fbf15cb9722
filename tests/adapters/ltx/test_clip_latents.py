"""A video as source latents of LTX-Video: the scale of the pipelines, and sizes that fit."""

import pytest
import torch
from ltx_toys import toy_pipeline

from lipar.testing.closeness import assert_near
from lipar_adapters.ltx.clip_latents import encode_video


def test_source_latents_are_in_the_scale_of_the_pipeline() -> None:
    pipe = toy_pipeline("i2v")
    video = torch.rand(9, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    source = encode_video(pipe, video)
    assert source.shape == (1, 2, 8, 2, 3)
    with torch.no_grad():
        raw = pipe.vae.encode(2 * video.transpose(0, 1)[None] - 1).latent_dist.mode()
    seen = pipe._denormalize_latents(source.transpose(1, 2), pipe.vae.latents_mean, pipe.vae.latents_std)
    assert_near(seen, raw, 1e-5)
    begun, _ = pipe.prepare_latents(
        2 * video[:1] - 1, 1, 8, 64, 96, 9, torch.float32, generator=[torch.Generator()]
    )
    assert begun.shape == (1, 12, 8)


def test_sizes_that_would_be_rounded_are_refused() -> None:
    pipe = toy_pipeline("t2v")
    with pytest.raises(ValueError, match=r"takes 1 \+ 8n; trim to 9"):
        encode_video(pipe, torch.rand(12, 3, 64, 96))
    with pytest.raises(ValueError, match="do not divide into tokens of 32x32; take 96x64"):
        encode_video(pipe, torch.rand(9, 3, 64, 90))
