"""Which tokens each denoise step computes."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.testing.strategies import keep_masks, seeds
from lipar_plugins.reuses import MaskCache, StepSkip, steps_of

KINDS = [MaskCache, StepSkip]


def masks_of(reuse, steps, keep=None, seed=0, change=None):
    keep = torch.ones(3, 8, 8, dtype=torch.bool) if keep is None else keep
    if change is None:
        change = torch.rand(keep.shape, generator=torch.Generator().manual_seed(seed))
    return reuse.computed(change, keep, steps)


def skipped(masks):
    return 1 - torch.stack(list(masks)).float().mean().item()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fraction", "steps"), [(0.1, 3), (0.32, 3), (0.5, 3), (0.66, 3), (0.32, 2), (0.5, 2), (0.7, 8)]
)
def test_the_fraction_of_the_computations_that_was_asked_for_is_skipped(kind, fraction, steps):
    reuse = kind(fraction=fraction)
    reuse.check_steps(steps)
    assert skipped(masks_of(reuse, steps)) == pytest.approx(fraction, abs=1 / 192)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("steps", "most"), [(1, "0"), (2, "0.5"), (3, "0.667")])
def test_more_than_the_steps_after_the_first_is_refused_with_what_there_is(kind, steps, most):
    with pytest.raises(ValueError, match=rf"at most {most} with {steps} denoise steps?, .*got 0.7"):
        kind(fraction=0.7).check_steps(steps)


@pytest.mark.parametrize("kind", KINDS)
@given(keep=keep_masks(), steps=st.integers(1, 5), seed=seeds)
def test_with_fraction_0_every_step_computes_the_very_mask_of_kept_tokens(kind, keep, steps, seed):
    assert all(mask is keep for mask in masks_of(kind(fraction=0), steps, keep, seed))


@pytest.mark.parametrize("kind", KINDS)
@given(steps=st.integers(2, 5), seed=seeds, fraction=st.floats(0.05, 0.5))
def test_a_token_that_changes_more_is_computed_at_least_as_often(kind, steps, seed, fraction):
    change = torch.rand(2, 4, 5, generator=torch.Generator().manual_seed(seed))
    masks = masks_of(kind(fraction=fraction), steps, torch.ones(2, 4, 5, dtype=torch.bool), change=change)
    times = torch.stack(list(masks)).sum(dim=0).flatten()[change.flatten().argsort()]
    assert bool((times.diff() >= 0).all())


def test_the_mask_cache_computes_static_tokens_in_the_first_step_alone():
    first, *others = masks_of(MaskCache(fraction=0.4), 4)
    assert bool(first.all())
    assert all(mask is others[0] for mask in others)


def test_skipped_steps_are_graded_and_the_last_one_comes_for_those_that_skip_one():
    first, second, third = masks_of(StepSkip(fraction=0.32), 3)
    assert bool(first.all())
    assert not bool((second & ~third).any())
    assert int((third & ~second).sum()) == pytest.approx(0.32 * 192, abs=1)
    assert int((~third).sum()) == pytest.approx(0.32 * 192, abs=1)


@given(steps=st.integers(1, 12), data=st.data())
def test_steps_of_a_token_are_as_many_as_asked_from_the_first_to_the_last(steps, data):
    count = data.draw(st.integers(1, steps))
    chosen = steps_of(count, steps)
    assert len(chosen) == count and 0 in chosen
    assert count == 1 or steps - 1 in chosen


@given(fraction=st.floats(0, 0.9), steps=st.integers(2, 30))
def test_graded_shares_fall_and_add_up_to_what_is_skipped(fraction, steps):
    reuse = StepSkip(fraction=min(fraction, 1 - 1 / steps))
    shares = reuse.shares(steps)
    assert all(0 <= later <= earlier <= 1 + 1e-9 for earlier, later in pairwise(shares))
    assert sum(shares) == pytest.approx(reuse.fraction * steps)


@pytest.mark.parametrize("fraction", [-0.1, 1.0])
def test_a_fraction_out_of_range_is_refused(fraction):
    with pytest.raises(ValueError, match="fraction must lie in"):
        MaskCache(fraction=fraction)
