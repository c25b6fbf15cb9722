"""Noise belongs to a frame of a video, not to how the video is cut up."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.sampling.gaussian import SeededDraw, block_gaussian

any_seed = st.integers(0, 2**40)


@given(any_seed, st.integers(1, 6), st.integers(0, 3))
def test_noise_does_not_depend_on_the_block_size(seed, frames, index):
    draw, like = SeededDraw(seed), torch.zeros(1, 12, 2, 3, 4)
    whole = block_gaussian(draw, 0, index, like)
    blocks = [
        block_gaussian(draw, first, index, part)
        for first, part in zip(range(0, 12, frames), like.split(frames, dim=1), strict=True)
    ]
    assert torch.equal(torch.cat(blocks, dim=1), whole)


@given(any_seed, any_seed, st.integers(0, 500), st.integers(0, 500), st.integers(0, 4), st.integers(0, 4))
def test_noise_is_equal_for_equal_seed_frame_and_draw_only(
    seed, other, frame, other_frame, index, other_index
):
    first = SeededDraw(seed)(frame, index, (1, 4, 4))
    second = SeededDraw(other)(other_frame, other_index, (1, 4, 4))
    same = (seed, frame, index) == (other, other_frame, other_index)
    assert torch.equal(first, second) == same


def test_seeds_that_agree_in_their_low_bits_differ():
    # torch's CPU generator reads 32 bits of its seed
    assert not torch.equal(SeededDraw(1)(0, 0, (1, 4, 4)), SeededDraw(1 + 2**32)(0, 0, (1, 4, 4)))


def test_noise_is_unit_gaussian_and_shared_by_guidance_branches():
    noise = block_gaussian(SeededDraw(3), 0, 0, torch.zeros(2, 3, 4, 32, 32))
    assert abs(float(noise.mean())) < 0.03
    assert abs(float(noise.std()) - 1) < 0.03
    assert torch.equal(noise[0], noise[1])
