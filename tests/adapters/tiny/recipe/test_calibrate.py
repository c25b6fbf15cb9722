"""Distances of still and moving tokens, from which the thresholds of pruning are set."""

import pytest
import torch

from lipar_adapters.tiny.recipe.calibrate import noise_floor, pixel_changes, token_distances


def test_a_token_is_as_far_as_its_four_latents_are_on_average() -> None:
    latents = torch.zeros(1, 2, 16, 4, 4)
    latents[:, 1, :, :2, :1] = 1  # one of two columns of the first token
    distances = token_distances(latents)
    assert distances.shape == (1, 1, 2, 2)
    assert distances.flatten().tolist() == pytest.approx([0.5, 0, 0, 0])


def test_pixels_are_compared_with_those_of_the_latent_frame_before() -> None:
    clip = torch.zeros(1, 8, 3, 32, 16)
    clip[:, 4:, :, :16] = 1
    assert pixel_changes(clip).tolist() == [[[[1.0], [0.0]]]]


class Averages:
    """An autoencoder whose latents are mean pixels."""

    def encode(self, frames: torch.Tensor) -> tuple[torch.Tensor, None]:
        small = torch.nn.functional.avg_pool2d(frames.flatten(0, 1), 8).unflatten(0, frames.shape[:2])
        return small[:, ::4].repeat(1, 1, 6, 1, 1)[:, :, :16], None


def test_still_tokens_are_those_of_a_held_first_frame_and_moving_ones_those_that_change() -> None:
    clip = torch.linspace(0, 1, 12)[None, :, None, None, None].expand(1, -1, 3, 32, 32)
    found = noise_floor(Averages(), clip, noise=0.0)
    assert (found["still"] == 0).all() and len(found["still"]) == 4
    assert (found["moving"] > 0).all() and len(found["moving"]) == 4
