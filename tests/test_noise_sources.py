"""Whose keys and values stand in for pruned tokens, told from what a rule was shown."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.layout import TokenLayout
from lipar.protocols import Donation, ForwardPass
from lipar.testing.strategies import keep_masks, seeds
from lipar_plugins.noise_levels import StepShift
from lipar_plugins.noise_sources import CleanHistory

HEADS, HEAD_DIM, GRID = 2, 4, (3, 2, 3)
FRAME, BLOCK = 6, 18
pruned_blocks = keep_masks(frames=st.just(3), rows=st.just(2), cols=st.just(3)).filter(
    lambda mask: mask.any()
)


def drawn(count, seed, branches=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(branches, count, HEADS, HEAD_DIM, generator=generator)


def donation(layout, k, v, history=(None, None), step=0, layer_idx=0):
    """What a rule sees of whole-block keys and values `k`, `v`."""
    return Donation(
        layer_idx=layer_idx,
        forward_pass=ForwardPass.at(step, 0.8 - 0.1 * step),
        layout=layout,
        places=layout.pruned,
        history_k=history[0],
        history_v=history[1],
        k=layout.prune(k),
        v=layout.prune(v),
    )


def shown_a_block(noise, keep_mask, clean, offset, step=0, first_frame=0):
    """Show a rule a block whose tokens are the clean ones moved by an offset; give its last frame, clean."""
    layout = TokenLayout(keep_mask, first_frame=first_frame, has_history=first_frame > 0)
    history = (None, None) if first_frame == 0 else tuple(x[:, -FRAME:] for x in clean)
    noise.observe(donation(layout, clean[0] + offset[0], clean[1] + offset[1], history, step))
    return tuple(x[:, -FRAME:] for x in clean)


whole = torch.ones(GRID, dtype=torch.bool)


@given(pruned_blocks, pruned_blocks, seeds)
def test_step_shift_moves_clean_donors_by_what_noise_did_to_the_last_frames_kept_tokens(before, mask, seed):
    before[0] = before[-1, 0, 0] = True
    noise, clean = StepShift(), (drawn(BLOCK, seed), drawn(BLOCK, seed + 1))
    history = None
    for step in (0, 1):
        offset = (drawn(1, 10 + step), drawn(1, 20 + step))
        history = shown_a_block(noise, before, clean, offset, step)
    layout = TokenLayout(mask, first_frame=3)
    for step in (1, 0):
        asked = donation(layout, drawn(BLOCK, seed + 2), drawn(BLOCK, seed + 3), history, step)
        for donor, frame, offset in zip(
            noise.donors(asked), history, (drawn(1, 10 + step), drawn(1, 20 + step)), strict=True
        ):
            expected = frame[:, layout.position(layout.pruned)] + offset
            torch.testing.assert_close(donor, expected, atol=1e-5, rtol=1e-5)


def test_a_last_frame_without_kept_tokens_leaves_the_shift_as_it_was():
    noise, clean, offset = StepShift(), (drawn(BLOCK, 0), drawn(BLOCK, 1)), (drawn(1, 2), drawn(1, 3))
    none_last = whole.clone()
    none_last[-1] = False
    history = shown_a_block(noise, whole, clean, offset)
    layout = TokenLayout(none_last, first_frame=3)
    first = donation(layout, *clean, history)
    once = noise.donors(first)
    noise.observe(first)
    again = noise.donors(donation(TokenLayout(none_last, first_frame=6), *clean, history))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def test_without_a_measurement_step_shift_gives_clean_copies():
    history = (drawn(FRAME, 0), drawn(FRAME, 1))
    mask = whole.clone()
    mask[1:] = False
    asked = donation(TokenLayout(mask, first_frame=3), drawn(BLOCK, 2), drawn(BLOCK, 3), history)
    ours, clean = StepShift().donors(asked), CleanHistory().donors(asked)
    assert all(torch.equal(a, b) for a, b in zip(ours, clean, strict=True))


def test_a_running_average_takes_its_share_of_the_shift_known_before():
    noise, clean, mask = StepShift(momentum=0.75), (drawn(BLOCK, 0), drawn(BLOCK, 1)), whole.clone()
    mask[1, 0, 0] = False
    one, five = torch.ones(1, 1, HEADS, HEAD_DIM), torch.full((1, 1, HEADS, HEAD_DIM), 5.0)
    history = shown_a_block(noise, whole, clean, (one, one))
    layout = TokenLayout(mask, first_frame=3)
    asked = donation(layout, clean[0] + five, clean[1] + five, history)
    noise.donors(asked)
    noise.observe(asked)
    k, _ = noise.donors(donation(TokenLayout(mask, first_frame=6), *clean, history))
    torch.testing.assert_close(k, history[0][:, :1] + 2.0)


@given(pruned_blocks, seeds)
def test_a_shift_measured_on_kept_tokens_is_that_of_this_very_pass(mask, seed):
    history = (drawn(FRAME, seed), drawn(FRAME, seed + 1))
    offset = drawn(1, seed + 2)
    layout = TokenLayout(mask, first_frame=3)
    k, v = (x.repeat(1, 3, 1, 1) + offset for x in history)
    donors = StepShift(measured_on="kept-tokens").donors(donation(layout, k, v, history))
    for donor, noisy in zip(donors, (k, v), strict=True):
        torch.testing.assert_close(donor, noisy[:, layout.pruned], atol=1e-5, rtol=1e-5)


def test_step_shift_keeps_a_few_vectors_and_no_frames():
    noise = StepShift()
    shown_a_block(noise, whole, (drawn(BLOCK, 0), drawn(BLOCK, 1)), (drawn(1, 2), drawn(1, 3)))
    ((level, _),) = noise._noisy.values()
    assert [x.numel() for x in level] == [HEADS * HEAD_DIM] * 2
    assert noise.frames_held(3) == 0
    noise.reset()
    assert not noise._noisy


@pytest.mark.parametrize("options", [{"measured_on": "sink"}, {"momentum": 1.0}, {"momentum": -0.1}])
def test_options_of_step_shift_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        StepShift(**options)
