"""Cuts are found where two clips were spliced, and nowhere else."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.layout import token_features
from lipar.masks.scene import cut_offset
from lipar.testing.strategies import seeds


def picture(seed, height=16, width=24):
    """Smooth latents of about unit variance, as a scene's are."""
    coarse = torch.randn(1, 4, height // 4, width // 4, generator=torch.Generator().manual_seed(seed))
    fine = F.interpolate(coarse, (height, width), mode="bilinear")
    return (fine - fine.mean()) / fine.std()


def frames(*pictures):
    return token_features(torch.stack(pictures, dim=1), 2)


@settings(max_examples=30)
@given(seeds, st.integers(1, 4))
def test_a_splice_of_two_scenes_is_a_cut(seed, at):
    first, second = picture(2 * seed), picture(2 * seed + 1)
    second = second - first * (first * second).mean() / first.square().mean()  # nothing in common
    assert cut_offset(None, frames(*[first] * at, *[second] * 2)) == at
    assert cut_offset(frames(first), frames(second, second, second)) == 0


@settings(max_examples=20)
@given(seeds, st.integers(1, 2))
def test_a_panning_camera_makes_no_cut(seed, speed):
    wide = picture(seed, 16, 64)
    views = [wide[..., speed * i : speed * i + 24] for i in range(6)]
    assert cut_offset(None, frames(*views)) is None


@settings(max_examples=20)
@given(seeds)
def test_a_fade_a_still_and_noise_make_no_cut(seed):
    scene = picture(seed)
    assert cut_offset(None, frames(*[scene * level for level in (1.0, 0.7, 0.4, 0.1, 0.0)])) is None
    assert cut_offset(None, frames(scene, scene, scene)) is None
    noisy = [scene + 0.3 * torch.randn_like(scene) for _ in range(4)]
    assert cut_offset(None, frames(*noisy)) is None
    flat = torch.zeros_like(scene)
    assert cut_offset(None, frames(*[flat + 0.05 * torch.randn_like(flat) for _ in range(4)])) is None


def test_a_single_frame_has_no_cut():
    assert cut_offset(None, frames(picture(0))) is None


@pytest.mark.parametrize("frame", [1, 2])
def test_of_several_cuts_in_a_block_the_last_one_counts(frame):
    pictures = [picture(0)] * frame + [picture(1)] + [picture(2)]
    assert cut_offset(None, frames(*pictures)) == frame + 1
