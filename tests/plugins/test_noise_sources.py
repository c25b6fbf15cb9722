"""Whose keys and values stand in for pruned tokens, told from what a rule was shown."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.layout import TokenLayout
from lipar.protocols import Donation, ForwardPass
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import keep_masks, seeds
from lipar_plugins.donors import DonorRule
from lipar_plugins.noise_levels import Filtering, ImageCondition
from lipar_plugins.noise_sources import CleanHistory, NoisyChain, StepMatched
from lipar_plugins.step_shift import StepShift

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
    noise.observe_clean(donation(layout, *clean, history))
    return tuple(x[:, -FRAME:] for x in clean)


whole = torch.ones(GRID, dtype=torch.bool)


@given(pruned_blocks, pruned_blocks, seeds)
def test_step_shift_moves_clean_donors_by_what_noise_did_to_the_last_frames_kept_tokens(before, mask, seed):
    before[0] = before[-1, 0, 0] = True
    noise, clean = StepShift(in_block=False), (drawn(BLOCK, seed), drawn(BLOCK, seed + 1))
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
            assert_near(donor, expected, 1e-5)


def test_a_last_frame_without_kept_tokens_leaves_the_shift_as_it_was():
    noise, clean, offset = (
        StepShift(in_block=False),
        (drawn(BLOCK, 0), drawn(BLOCK, 1)),
        (drawn(1, 2), drawn(1, 3)),
    )
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
    ours, clean = StepShift(in_block=False).donors(asked), CleanHistory().donors(asked)
    assert all(torch.equal(a, b) for a, b in zip(ours, clean, strict=True))


def test_a_running_average_takes_its_share_of_the_shift_known_before():
    noise, clean, mask = (
        StepShift(momentum=0.75, in_block=False),
        (drawn(BLOCK, 0), drawn(BLOCK, 1)),
        whole.clone(),
    )
    mask[1, 0, 0] = False
    one, five = torch.ones(1, 1, HEADS, HEAD_DIM), torch.full((1, 1, HEADS, HEAD_DIM), 5.0)
    history = shown_a_block(noise, whole, clean, (one, one))
    layout = TokenLayout(mask, first_frame=3)
    asked = donation(layout, clean[0] + five, clean[1] + five, history)
    noise.donors(asked)
    noise.observe(asked)
    noise.observe_clean(donation(layout, *clean, history))
    k, _ = noise.donors(donation(TokenLayout(mask, first_frame=6), *clean, history))
    assert_near(k, history[0][:, :1] + 2.0, 1e-5)


@given(pruned_blocks, seeds)
def test_a_shift_measured_on_kept_tokens_is_that_of_this_very_pass(mask, seed):
    history = (drawn(FRAME, seed), drawn(FRAME, seed + 1))
    offset = drawn(1, seed + 2)
    layout = TokenLayout(mask, first_frame=3)
    k, v = (x.repeat(1, 3, 1, 1) + offset for x in history)
    donors = StepShift(measured_on="kept-tokens").donors(donation(layout, k, v, history))
    for donor, noisy in zip(donors, (k, v), strict=True):
        assert_near(donor, noisy[:, layout.pruned], 1e-5)


def test_step_shift_keeps_a_few_vectors_and_no_frames():
    noise = StepShift()
    shown_a_block(noise, whole, (drawn(BLOCK, 0), drawn(BLOCK, 1)), (drawn(1, 2), drawn(1, 3)))
    (level,) = noise._noisy.values()
    assert [x.numel() for x in level] == [HEADS * HEAD_DIM] * 2
    assert noise.frames_held(3) == 0
    noise.reset()
    assert not noise._noisy


def test_step_shift_keeps_its_memory_at_a_reset_and_forgets_what_is_in_it():
    """A CUDA graph that was recorded before a scene cut reads and writes there after it."""
    noise, clean, offset = StepShift(), (drawn(BLOCK, 0), drawn(BLOCK, 1)), (drawn(1, 2), drawn(1, 3))
    found = []
    for _ in range(2):
        shown_a_block(noise, whole, clean, offset)
        found.append([part.data_ptr() for held in (noise._noisy, noise._shift) for part in held[0, 0]])
        noise.reset()
        assert noise.replay_key() == (0, 0)
    assert found[0] == found[1]


def test_a_clean_pass_without_steps_before_it_leaves_step_shift_as_it_was():
    noise = StepShift()
    layout = TokenLayout(whole, first_frame=3)
    noise.observe_clean(
        donation(layout, drawn(BLOCK, 0), drawn(BLOCK, 1), (drawn(FRAME, 2), drawn(FRAME, 3)))
    )
    assert noise.replay_key() == (0, 0)


@pytest.mark.parametrize("options", [{"measured_on": "sink"}, {"momentum": 1.0}, {"momentum": -0.1}])
def test_options_of_step_shift_that_mean_nothing_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        StepShift(**options)


def test_an_image_condition_lends_the_tokens_of_the_first_frame():
    mask = torch.rand(GRID, generator=torch.Generator().manual_seed(0)) < 0.5
    mask[0] = True
    layout, k, v = TokenLayout(mask, has_history=False), drawn(BLOCK, 0), drawn(BLOCK, 1)
    noise = ImageCondition()
    assert noise.ready(layout)
    position = layout.position(layout.pruned)
    for donor, states in zip(noise.donors(donation(layout, k, v)), (k, v), strict=True):
        assert torch.equal(donor, states[:, :FRAME][:, position])
    assert not bool(noise.donor_times(layout, layout.pruned).any())
    mask[0, 0, 0] = False
    assert not noise.ready(TokenLayout(mask, first_frame=3))


def test_fresh_noise_gives_clean_copies_the_mean_and_variance_of_the_steps_tokens():
    grid, count = (2, 40, 50), 2000
    mask = torch.ones(grid, dtype=torch.bool)
    mask[1, 20:] = False
    layout = TokenLayout(mask, has_history=False)
    k = torch.cat([drawn(count, 0), 3.0 + 2.0 * drawn(count, 1)], dim=1)
    donors, _ = ImageCondition(fresh_noise=True).donors(donation(layout, k, k))
    again, _ = ImageCondition(fresh_noise=True).donors(donation(layout, k, k))
    assert torch.equal(donors, again)
    # 1000 tokens: a mean is off by 0.06, a variance of 4 by 0.18, both as standard deviations
    assert bool(((donors.mean(1) - 3.0).abs() < 0.4).all())
    assert bool(((donors.var(1) - 4.0).abs() < 1.1).all())


def test_filtering_comes_nearer_to_the_clean_token_than_the_noisy_copy_and_leaves_clean_ones_alone():
    grid, count = (2, 40, 50), 2000
    mask = torch.zeros(grid, dtype=torch.bool)
    mask[0, :20] = True
    layout, clean = TokenLayout(mask, first_frame=2), drawn(count, 0)
    noisy = (clean + 2.0 + drawn(count, 1)).repeat(1, 2, 1, 1)
    asked = donation(layout, noisy, noisy, (clean, clean))
    inside = layout.source_row(layout.pruned) >= 0
    truth = clean[:, layout.position(layout.pruned)]
    filtered, copied = Filtering().donors(asked)[0], NoisyChain().donors(asked)[0]
    assert torch.equal(filtered[:, ~inside], truth[:, ~inside])
    error, before = ((x - truth)[:, inside].square().mean() for x in (filtered, copied))
    # noise as strong as content: the best linear estimate keeps half of it as error; the copy has 1 + 2 squared
    assert float(error) == pytest.approx(0.5, abs=0.1)
    assert float(before) == pytest.approx(5.0, abs=0.3)


@given(pruned_blocks, pruned_blocks, seeds)
def test_frame_same_lends_each_frame_the_same_frame_of_the_block_before(mask, later, seed):
    noise, held = StepMatched(frame="same", in_block=False), drawn(BLOCK, seed)
    noise.observe(donation(TokenLayout(whole, has_history=False), held, held))
    for first_frame, keep_mask in ((3, mask), (6, later)):
        layout = TokenLayout(keep_mask, first_frame=first_frame)
        k = drawn(BLOCK, seed + first_frame)
        asked = donation(layout, k, k, (k[:, -FRAME:], k[:, -FRAME:]))
        donors, _ = noise.donors(asked)
        assert torch.equal(donors, held[:, layout.pruned])
        assert torch.equal(noise.donor_times(layout, layout.pruned), layout.pruned // FRAME - 3)
        noise.observe(asked)
        # a place that was itself pruned passes on what it was filled with
        held = torch.where(layout.keep_mask.flatten()[:, None, None], k, held)


@pytest.mark.parametrize("frame", ["last", "same"])
@given(mask=pruned_blocks, later=pruned_blocks, seed=seeds)
def test_in_block_copies_come_first_where_a_kept_token_stands_earlier(frame, mask, later, seed):
    noise, held = StepMatched(frame=frame, in_block=True), drawn(BLOCK, seed)
    noise.observe(donation(TokenLayout(whole, has_history=False), held, held))
    for first_frame, keep_mask in ((3, mask), (6, later)):
        layout = TokenLayout(keep_mask, first_frame=first_frame)
        k = drawn(BLOCK, seed + first_frame)
        asked = donation(layout, k, k, (k[:, -FRAME:], k[:, -FRAME:]))
        before = held if frame == "same" else held[:, -FRAME:].repeat(1, 3, 1, 1)
        inside = layout.source_row(torch.arange(BLOCK)) >= 0
        filled = torch.where(inside[:, None, None], layout.fill(k[:, -FRAME:], layout.prune(k)), before)
        donors, _ = noise.donors(asked)
        assert torch.equal(donors, filled[:, layout.pruned])
        noise.observe(asked)
        held = filled


@given(pruned_blocks, seeds)
def test_step_shift_looks_inside_the_block_first_and_moves_only_what_comes_from_before(mask, seed):
    ours, before = StepShift(), StepShift(in_block=False)
    clean, offset = (drawn(BLOCK, seed), drawn(BLOCK, seed + 1)), (drawn(1, 2), drawn(1, 3))
    for noise in (ours, before):
        history = shown_a_block(noise, whole, clean, offset)
    layout = TokenLayout(mask, first_frame=3)
    k, v = drawn(BLOCK, seed + 2), drawn(BLOCK, seed + 3)
    inside = (layout.source_row(torch.arange(BLOCK)) >= 0)[layout.pruned, None, None]
    copies = [layout.fill(x[:, -FRAME:], layout.prune(x))[:, layout.pruned] for x in (k, v)]
    moved = before.donors(donation(layout, k, v, history))
    for donor, copy, shifted in zip(ours.donors(donation(layout, k, v, history)), copies, moved, strict=True):
        assert torch.equal(donor, torch.where(inside, copy, shifted))


def test_a_rule_of_ones_own_needs_its_donors_alone():
    class Doubled(DonorRule):
        def donors(self, asked):
            return tuple(2 * states for states in super().donors(asked))

    mask = whole.clone()
    mask[1] = False
    layout, history = TokenLayout(mask, first_frame=3), (drawn(FRAME, 0), drawn(FRAME, 1))
    k, _ = Doubled().donors(donation(layout, drawn(BLOCK, 2), drawn(BLOCK, 3), history))
    assert torch.equal(k, 2 * history[0])


@pytest.mark.parametrize(
    ("noise", "frames"), [(CleanHistory(), 0), (StepMatched(), 1), (StepMatched(frame="same"), 3)]
)
def test_a_source_says_how_many_frames_it_keeps_for_each_layer_and_step(noise, frames):
    noise.observe(donation(TokenLayout(whole, has_history=False), drawn(BLOCK, 0), drawn(BLOCK, 1)))
    held = sum(x.numel() for x in getattr(noise, "_k", {}).values())
    assert noise.frames_held(3) * drawn(FRAME, 0).numel() == held == frames * FRAME * HEADS * HEAD_DIM
