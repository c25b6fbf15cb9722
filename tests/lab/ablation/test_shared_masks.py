"""Masks that are brought to a wanted kept fraction."""

from typing import Any

import torch
from hypothesis import given
from hypothesis import strategies as st
from lab_toys import toy_loaded, toy_plan

from lipar.layout import token_features
from lipar.masks.measure import measure_of
from lipar.masks.source import SourceFormat
from lipar.plugin.parts import make_parts
from lipar.testing.strategies import keep_masks
from lipar_lab.ablation.shared_masks import RatedMask, enlarged, mask_at_rate, mask_by, random_like


@given(keep_masks(rows=st.just(3)), st.integers(0, 99))
def test_random_pruning_keeps_as_many_tokens_of_every_frame(keep_mask: torch.Tensor, seed: int) -> None:
    assert torch.equal(random_like(keep_mask, seed).sum((1, 2)), keep_mask.sum((1, 2)))


def test_a_rate_that_cannot_be_met_gives_the_nearest_and_says_which() -> None:
    loaded, plan = toy_loaded(), toy_plan()
    still = token_features(torch.ones(1, 9, 4, 8, 8), 2)
    parts = make_parts(loaded.host, plan.base)
    options: dict[str, Any] = {
        "config": plan.base,
        "measure": measure_of(parts.criterion, SourceFormat(patch_size=2, autoencoder=loaded.autoencoder)),
        "parts": parts,
        "block_frames": loaded.model.block_frames,
    }
    assert mask_at_rate(0.5, lambda factor: mask_by(factor, still, **options)).kept == 0


def test_the_closest_of_the_masks_that_were_tried_is_taken() -> None:
    tried = []

    def mask_at(factor: float) -> RatedMask:
        tried.append(factor)
        kept = 0.9 if factor < 1 else 0.2
        return RatedMask(keep_mask=torch.ones(1, 1, 1, dtype=torch.bool), kept=kept, factor=factor)

    assert mask_at_rate(0.8, mask_at, halvings=7).kept == 0.9
    assert mask_at_rate(0.3, mask_at).kept == 0.2
    assert len(tried) == 7 + 16


@given(keep_masks(), st.integers(1, 3))
def test_an_enlarged_mask_has_every_token_as_a_square(keep_mask: torch.Tensor, size: int) -> None:
    large = enlarged(keep_mask, size)
    assert large.shape == (keep_mask.shape[0], size * keep_mask.shape[1], size * keep_mask.shape[2])
    assert torch.equal(large[:, ::size, ::size], keep_mask)
    assert int(large.sum()) == size**2 * int(keep_mask.sum())
