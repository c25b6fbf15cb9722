"""Pictures at their final size, and with the pruned tokens shaded."""

import torch

from lipar.editing.overlay import OPACITY, TINT, resize, shade


def test_a_picture_of_the_right_size_stays_as_it_is_and_another_is_scaled_within_its_range() -> None:
    rgb = torch.rand(
        3, 12, 16, generator=torch.Generator().manual_seed(0)
    ).round()  # edges, where bicubic overshoots
    assert resize(rgb, (16, 12)) is rgb
    large = resize(rgb, (40, 30))
    assert large.shape == (3, 30, 40)
    assert large.min() >= 0 and large.max() <= 1


def test_kept_tokens_stay_as_they_are_and_pruned_ones_are_blended_with_the_tint() -> None:
    rgb = torch.rand(3, 8, 16, generator=torch.Generator().manual_seed(0))
    shaded = shade(rgb, torch.tensor([[True, False]]))
    assert torch.equal(shaded[..., :8], rgb[..., :8])
    assert torch.equal(shaded[..., 8:], rgb[..., 8:] * (1 - OPACITY) + OPACITY * TINT)
