"""Patches, changes and replacement, on values that can be counted."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.testing.closeness import assert_near
from lipar_lab.analyze.patches import changes, cut, join, pixel_changes, replace


def draw(frames=6, channels=3, height=4, width=6, seed=0):
    return torch.randn(frames, channels, height, width, generator=torch.Generator().manual_seed(seed))


def test_a_patch_is_two_frames_rows_and_columns_and_the_rest_is_left_out():
    latents = draw(frames=5)
    patches = cut(latents)
    assert patches.shape == (2, 2, 3, 3 * 8)
    assert sorted(patches[1, 0, 2].tolist()) == sorted(latents[2:4, :, :2, 4:6].flatten().tolist())
    assert torch.equal(join(patches, 3), latents[:4])


def test_changes_are_mean_absolute_differences_to_the_patch_before():
    latents = draw()
    found = changes(cut(latents))
    assert found.shape == (2, 2, 3)
    expected = (latents[2:4, :, :2, :2] - latents[:2, :, :2, :2]).abs().mean()
    assert_near(found[0, 0, 0], expected, 1e-5)
    assert_near(pixel_changes(latents, 2, 2), found, 1e-5)


def test_a_patch_that_changes_little_becomes_what_the_one_before_has_become():
    latents = torch.zeros(6, 1, 2, 4)
    latents[2:4, :, :, :2], latents[4:, :, :, :2] = 0.1, 0.2  # drifts by less than theta each time
    latents[2:4, :, :, 2:] = 1.0  # jumps up, and down again
    found, replaced = replace(latents, changes(cut(latents)), 0.15)
    assert replaced.tolist() == [[[True, False]], [[True, False]]]
    assert found[..., :2].abs().sum() == 0
    assert torch.equal(found[..., 2:], latents[..., 2:])


@given(st.integers(0, 2**31), st.floats(0, 3), st.floats(0, 3))
def test_a_larger_theta_replaces_what_a_smaller_one_does_and_0_replaces_nothing(seed, one, other):
    latents = draw(frames=7, seed=seed)
    change = changes(cut(latents))
    small, large = (replace(latents, change, theta)[1] for theta in sorted((one, other)))
    assert not (small & ~large).any()
    assert torch.equal(replace(latents, change, 0.0)[0], latents)


@given(st.integers(0, 2**31))
def test_above_every_change_all_patches_are_the_first(seed):
    latents = draw(seed=seed)
    found, replaced = replace(latents, changes(cut(latents)), 1e6)
    assert replaced.all()
    assert torch.equal(found, latents[:2].repeat(3, 1, 1, 1))
