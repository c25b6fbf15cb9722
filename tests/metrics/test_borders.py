"""Errors at the edges of a mask, on pictures whose errors are known."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.metrics.borders import border_error


def halves():
    """Left half kept, right half pruned."""
    keep = torch.zeros(1, 4, 8, dtype=torch.bool)
    keep[:, :, :4] = True
    return keep


def test_a_step_at_the_edge_is_its_height_in_levels_and_nothing_elsewhere():
    dense = torch.rand(1, 3, 4, 8)
    result = dense.clone()
    result[..., 4:] += 10 / 255
    found = border_error(result, dense, halves())
    assert found is not None
    assert found.at_borders == pytest.approx(10, rel=1e-4)
    assert found.elsewhere == pytest.approx(0, abs=1e-4)


def test_a_step_inside_a_token_counts_elsewhere():
    dense = torch.zeros(1, 3, 4, 8)
    result = dense.clone()
    result[..., 6:] = 12 / 255
    found = border_error(result, dense, halves())
    assert found is not None
    # 28 pairs in rows and 24 in columns, 4 of them at the edge; 4 others have the step
    assert found.at_borders == 0 and found.ratio == 0
    assert found.elsewhere == pytest.approx(12 * 4 / 48)


def test_an_edge_of_the_dense_clip_is_no_seam_and_equal_clips_have_no_ratio():
    dense = torch.zeros(1, 3, 4, 8)
    dense[..., 4:] = 1
    found = border_error(dense.clone(), dense, halves())
    assert found is not None
    assert found.at_borders == 0 and found.elsewhere == 0 and found.ratio is None


@pytest.mark.parametrize("kept", [True, False])
def test_without_an_edge_there_is_no_error_at_it(kept):
    clip = torch.rand(2, 3, 4, 8)
    assert border_error(clip, clip, torch.full((2, 4, 8), kept)) is None


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.1, 4))
def test_it_is_symmetric_does_not_know_kept_from_pruned_and_grows_with_the_error(seed, factor):
    draw = torch.Generator().manual_seed(seed)
    a, b = (torch.rand(2, 3, 6, 6, generator=draw) for _ in range(2))
    keep = torch.rand(2, 6, 6, generator=draw) < 0.5
    one, swapped, inverse = border_error(a, b, keep), border_error(b, a, keep), border_error(a, b, ~keep)
    assert one == swapped == inverse
    more = border_error(b + factor * (a - b), b, keep)
    assert one is not None and more is not None
    assert more.at_borders == pytest.approx(factor * one.at_borders, rel=1e-3)
    assert more.ratio == pytest.approx(one.ratio, rel=1e-3)


def test_a_mask_of_another_size_is_refused():
    clip = torch.rand(2, 3, 4, 8)
    with pytest.raises(ValueError, match=r"\[2, 4, 8\].*got \[2, 2, 4\]"):
        border_error(clip, clip, torch.ones(2, 2, 4, dtype=torch.bool))
