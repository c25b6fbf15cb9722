"""The faster form of Wan's autoencoder, against diffusers' own."""

import copy
from typing import Any

import pytest
import torch
from wan_toys import toy_vae

from lipar.testing.closeness import assert_near
from lipar_adapters.wan.frame_convolutions import compute_by_frames


def both(**changes: Any) -> tuple[Any, Any]:
    """The same autoencoder twice: as diffusers computes it, and by frames."""
    stock = toy_vae(**changes).requires_grad_(False)
    by_frames = copy.deepcopy(stock)
    compute_by_frames(by_frames)
    return stock, by_frames


def clip(frames: int = 9) -> torch.Tensor:
    return torch.rand(2, 3, frames, 16, 24, generator=torch.Generator().manual_seed(0)) * 2 - 1


@pytest.mark.parametrize("frames", [1, 5, 9])
def test_results_are_those_of_diffusers(frames: int) -> None:
    stock, by_frames = both()
    latents = stock.encode(clip(frames)).latent_dist.mode()
    assert_near(by_frames.encode(clip(frames)).latent_dist.mode(), latents, 1e-5)
    decoded = stock.decode(latents).sample
    assert_near(by_frames.decode(latents).sample, decoded, 1e-5, of=clip(frames))


def test_weights_keep_their_names_and_values() -> None:
    stock, by_frames = both()
    kept = by_frames.state_dict()
    assert list(kept) == list(stock.state_dict())
    assert all(torch.equal(kept[name], weight) for name, weight in stock.state_dict().items())
    assert toy_vae().load_state_dict(kept)


def test_16_bit_types_are_computed_as_before() -> None:
    stock, by_frames = (vae.to(torch.bfloat16) for vae in both())
    frames = clip().to(torch.bfloat16)
    latents = stock.encode(frames).latent_dist.mode()
    assert torch.equal(by_frames.encode(frames).latent_dist.mode(), latents)
    assert torch.equal(by_frames.decode(latents).sample, stock.decode(latents).sample)


def test_gradients_reach_the_frames() -> None:
    stock, by_frames = (vae.double() for vae in both())
    gradients = []
    for vae in (stock, by_frames):
        frames = clip(5).double().requires_grad_()
        vae.encode(frames).latent_dist.mode().square().sum().backward()
        gradients.append(frames.grad)
    assert_near(gradients[1], gradients[0], 1e-11)
