"""Random masks keep an exact number of tokens."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar_lab.bench.random_masks import random_mask


@given(st.floats(0, 1), st.sampled_from(["clustered", "uniform"]), st.integers(0, 5))
def test_a_random_mask_keeps_the_exact_number(fraction, spread, seed):
    assert int(random_mask((3, 5, 7), fraction, spread=spread, seed=seed).sum()) == round(fraction * 105)


def test_a_clip_s_mask_keeps_its_first_frame():
    assert bool(random_mask((3, 5, 7), 0.4, whole_first_frame=True)[0].all())
    with pytest.raises(ValueError, match="keep all of frame 0 of 3"):
        random_mask((3, 5, 7), 0.2, whole_first_frame=True)


@pytest.mark.parametrize("fraction", [-0.1, 1.1])
def test_a_fraction_outside_0_to_1_is_refused(fraction):
    with pytest.raises(ValueError, match=r"a kept fraction lies in 0\.\.1"):
        random_mask((3, 5, 7), fraction)


def test_clustered_tokens_have_more_kept_neighbours_than_uniform_ones():
    def neighbours(mask):
        return int((mask[:, 1:] & mask[:, :-1]).sum())

    clustered, uniform = (random_mask((2, 30, 52), 0.3, spread=spread) for spread in ("clustered", "uniform"))
    assert neighbours(clustered) > 2 * neighbours(uniform)


def test_the_seed_decides_the_mask():
    assert torch.equal(random_mask((2, 6, 6), 0.5, seed=3), random_mask((2, 6, 6), 0.5, seed=3))
    assert not torch.equal(random_mask((2, 6, 6), 0.5, seed=3), random_mask((2, 6, 6), 0.5, seed=4))
