"""Self-attention of a block over its context: what the kept tokens attend to."""

from functools import partial
from itertools import pairwise

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.attention.block import BlockContext, sdpa
from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import RotaryEmbedding, prepare_rotation, rotate
from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass, NoiseSource, Recovery
from lipar.testing.closeness import assert_near, error
from lipar.testing.strategies import keep_masks, seeds
from lipar_plugins.noise_levels import Filtering, ImageCondition
from lipar_plugins.noise_sources import CleanHistory, NoisyChain, StepMatched
from lipar_plugins.recoveries import MDegree, NaiveCopy, NoRecovery, Proportional
from lipar_plugins.step_shift import StepShift

HEADS, HEAD_DIM = 2, 12
GRID = (3, 2, 3)
ROPE = RotaryEmbedding(HEAD_DIM)
CLEAN = ForwardPass.at(-1, 0.0)
FIRST, SECOND = ForwardPass.at(0, 0.8), ForwardPass.at(1, 0.6)

pruned_blocks = keep_masks(frames=st.just(3), rows=st.just(2), cols=st.just(3)).filter(
    lambda mask: mask.any()
)


def new_cache(**sizes):
    return KVCache(1, ROPE, **{"sink_frames": 0, "window_frames": 0, "positions": "absolute", **sizes})


def states(layout, seed, branches=1):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(3, branches, layout.token_count, HEADS, HEAD_DIM, generator=generator)


def attend(context, forward_pass, qkv, kernel=sdpa):
    """One pass of one layer, from queries, keys and values of the whole block."""
    context.begin_pass(forward_pass)
    return context.attend(0, *(context.layout.prune(x) for x in qkv), kernel)


def begin(cache, seed=0, noise=None, branches=1):
    """A first block, whole, in all passes; returns its un-rotated keys and values."""
    layout = TokenLayout.keep_all(GRID, has_history=False)
    context = BlockContext(cache, layout, MDegree(), noise)
    for forward_pass in (FIRST, SECOND, CLEAN):
        qkv = states(layout, seed + forward_pass.step, branches)
        attend(context, forward_pass, qkv)
    context.commit()
    return qkv


def second(cache, mask, recovery, noise):
    return BlockContext(cache, TokenLayout(mask, first_frame=3), recovery, noise)


@given(st.integers(1, 4), seeds)
def test_cached_blocks_attend_as_one_pass_with_a_block_causal_mask(blocks, seed):
    cache, outputs, all_states = new_cache(), [], []
    for index in range(blocks):
        layout = TokenLayout.keep_all(GRID, first_frame=3 * index, has_history=index > 0)
        qkv = states(layout, seed + index)
        context = BlockContext(cache, layout, MDegree(), CleanHistory())
        outputs.append(attend(context, CLEAN, qkv))
        context.commit()
        all_states.append(qkv)
    q, k, v = torch.cat(all_states, dim=2)
    rotation = ROPE.grid_rotation(torch.arange(3 * blocks), *GRID[1:])
    block = torch.arange(18 * blocks) // 18
    whole = F.scaled_dot_product_attention(
        rotate(q, prepare_rotation(rotation)).transpose(1, 2),
        rotate(k, prepare_rotation(rotation)).transpose(1, 2),
        v.transpose(1, 2),
        attn_mask=block[:, None] >= block[None],
    )
    assert_near(torch.cat(outputs, dim=1), whole.transpose(1, 2), 1e-5, of=v)


@given(pruned_blocks, seeds)
def test_recovered_attention_is_full_attention_where_the_donors_are_the_tokens(mask, seed):
    cache = new_cache()
    _, history_k, history_v = begin(cache, seed)
    layout = TokenLayout(mask, first_frame=3)
    q, k, v = states(layout, seed + 1)
    # every pruned token repeats the last clean frame exactly
    position = layout.position(layout.pruned)
    k[:, layout.pruned], v[:, layout.pruned] = (x[:, -6:][:, position] for x in (history_k, history_v))
    everything = torch.ones_like(mask)
    full = attend(second(cache, everything, MDegree(), CleanHistory()), FIRST, (q, k, v))
    recovered = attend(second(cache, mask, MDegree(), CleanHistory()), FIRST, (q, k, v))
    assert_near(recovered, layout.prune(full), 1e-5, of=v)
    dropped = attend(second(cache, mask, NoRecovery(), CleanHistory()), FIRST, (q, k, v))
    assert bool(mask.all()) == (error(dropped, layout.prune(full), of=v) < 1e-5)


def exp_sums(q, k, v):
    """The denominators of softmax attention, in the place of its output."""
    scores = torch.einsum("b n h c, b m h c -> b n h m", q, k) / q.shape[-1] ** 0.5
    return scores.exp().sum(dim=-1, keepdim=True).expand_as(q)


@given(pruned_blocks, seeds)
def test_the_sum_over_the_most_recent_copies_is_below_the_full_one_and_grows_with_the_degree(mask, seed):
    cache = new_cache()
    begin(cache, seed)
    qkv = states(TokenLayout(mask, first_frame=3), seed + 1)
    sums = [
        attend(second(cache, mask, MDegree(degree=degree), CleanHistory()), FIRST, qkv, exp_sums)
        for degree in (1, 2, 3, None)
    ]
    for lower, higher in pairwise(sums):
        assert bool((lower <= higher * (1 + 1e-5)).all())
    assert_near(sums[2], sums[3], 2e-6)


def context_of(cache, mask, recovery, noise, qkv, forward_pass=FIRST):
    """The rotated keys and the values that the kept queries are given."""
    given = {}

    def kernel(q, k, v):
        given.update(k=k.clone(), v=v.clone())
        return q

    attend(second(cache, mask, recovery, noise), forward_pass, qkv, kernel)
    return given["k"], given["v"]


@given(pruned_blocks, seeds)
def test_a_naive_copy_differs_from_m_degree_by_its_rotation_alone(mask, seed):
    cache = new_cache()
    _, history_k, _ = begin(cache, seed)
    layout = TokenLayout(mask, first_frame=3)
    qkv = states(layout, seed + 1)
    k_own, v_own = context_of(cache, mask, MDegree(), CleanHistory(), qkv)
    k_donor, v_donor = context_of(cache, mask, NaiveCopy(), CleanHistory(), qkv)
    assert torch.equal(v_own, v_donor)
    assert torch.equal(layout.prune(k_own[:, 18:]), layout.prune(k_donor[:, 18:]))
    position = layout.position(layout.pruned)
    donor = history_k[:, -6:][:, position]
    at_donor = ROPE.rotation(torch.full_like(position, 2), position // 3, position % 3)
    at_place = ROPE.rotation(3 + layout.pruned // 6, position // 3, position % 3)
    assert torch.equal(k_donor[:, 18:][:, layout.pruned], rotate(donor, prepare_rotation(at_donor)))
    assert torch.equal(k_own[:, 18:][:, layout.pruned], rotate(donor, prepare_rotation(at_place)))


@given(pruned_blocks, seeds)
def test_noisy_chains_copy_the_restoration_source_of_the_same_pass(mask, seed):
    cache = new_cache()
    _, _, history_v = begin(cache, seed)
    layout = TokenLayout(mask, first_frame=3)
    qkv = states(layout, seed + 1)
    _, v = context_of(cache, mask, MDegree(), NoisyChain(), qkv)
    assert torch.equal(v[:, 18:], layout.fill(history_v[:, -6:], layout.prune(qkv[2])))


@given(pruned_blocks, seeds)
def test_without_recovery_kept_tokens_attend_to_the_kept_alone(mask, seed):
    cache = new_cache()
    begin(cache, seed)
    layout = TokenLayout(mask, first_frame=3)
    qkv = states(layout, seed + 1)
    _, v = context_of(cache, mask, NoRecovery(), CleanHistory(), qkv)
    assert torch.equal(v[:, 18:], layout.prune(qkv[2]))


@given(pruned_blocks, pruned_blocks, seeds)
def test_step_matched_donors_are_the_last_frame_of_the_block_before_at_the_same_step(mask, later_mask, seed):
    cache, noise = new_cache(), StepMatched(in_block=False)
    begin(cache, seed, noise)
    whole = TokenLayout.keep_all(GRID, has_history=False)
    stored = {step: states(whole, seed + step)[2][:, -6:] for step in (0, 1)}
    for first_frame, block_mask in ((3, mask), (6, later_mask)):
        layout = TokenLayout(block_mask, first_frame=first_frame)
        context = BlockContext(cache, layout, MDegree(), noise)
        for forward_pass in (FIRST, SECOND, CLEAN):
            qkv = states(layout, seed + 10 * first_frame + forward_pass.step)
            seen = {}
            attend(context, forward_pass, qkv, lambda q, k, v, seen=seen: seen.update(v=v.clone()) or q)
            if forward_pass.clean:
                continue
            block = seen["v"][:, -18:]
            donors = stored[forward_pass.step]
            assert torch.equal(block[:, layout.pruned], donors[:, layout.position(layout.pruned)])
            # a place that was itself pruned passes on what it was filled with
            stored[forward_pass.step] = block[:, -6:].clone()
        context.commit()


RECOVERIES = [
    NoRecovery(),
    NaiveCopy(),
    MDegree(),
    MDegree(degree=1),
    MDegree(degree=2, weigh=True),
    Proportional(),
    Proportional(stands="first"),
]
NOISES = [
    CleanHistory,
    NoisyChain,
    StepMatched,
    partial(StepMatched, frame="same"),
    partial(StepMatched, in_block=True),
    partial(StepMatched, frame="same", in_block=True),
    StepShift,
    partial(StepShift, measured_on="kept-tokens", momentum=0.5, fresh_noise=True),
    partial(StepShift, momentum=0.5, fresh_noise=True, in_block=False),
    Filtering,
    partial(Filtering, fresh_noise=True),
    ImageCondition,
]


def two_blocks(cache, mask, recovery, noise, seed, branches=1, poison=None):
    """Outputs of a whole block's successor and of one more, for all passes."""
    begin(cache, seed, noise, branches)
    outputs = []
    for first_frame, block_mask in ((3, mask), (6, mask.flip(0))):
        layout = TokenLayout(block_mask, first_frame=first_frame)
        context = BlockContext(cache, layout, recovery, noise)
        for forward_pass in (FIRST, SECOND, CLEAN):
            qkv = states(layout, seed + first_frame + forward_pass.step, branches)
            if poison is not None:
                poison(cache, layout, qkv)
            outputs.append(attend(context, forward_pass, qkv))
        context.commit()
    return outputs


@settings(max_examples=10)
@given(pruned_blocks, st.sampled_from(RECOVERIES), st.sampled_from(NOISES), seeds)
def test_two_guidance_branches_are_two_runs(mask, recovery, noise, seed):
    together = two_blocks(new_cache(), mask, recovery, noise(), seed, branches=2)
    for branch in (0, 1):
        cache, source = new_cache(), noise()
        alone = []
        for first_frame, block_mask in (
            (0, torch.ones(GRID, dtype=torch.bool)),
            (3, mask),
            (6, mask.flip(0)),
        ):
            layout = TokenLayout(block_mask, first_frame=first_frame, has_history=first_frame > 0)
            context = BlockContext(cache, layout, recovery, source)
            for forward_pass in (FIRST, SECOND, CLEAN):
                qkv = states(layout, seed + first_frame + forward_pass.step, 2)[:, branch : branch + 1]
                alone.append(attend(context, forward_pass, qkv))
            context.commit()
        for both, one in zip(together, alone[3:], strict=True):
            assert_near(both[branch : branch + 1], one, 1e-5)


@settings(max_examples=20)
@given(pruned_blocks, st.sampled_from(RECOVERIES), st.sampled_from(NOISES), seeds)
def test_rows_that_nothing_was_written_to_are_never_read(mask, recovery, noise, seed):
    clean = two_blocks(new_cache(), mask, recovery, noise(), seed)

    def poison(cache, layout, qkv):
        for rows in cache._layers:
            for held in (rows.k, rows.k_rotated, rows.v):
                held[:, cache.rows + layout.token_count :] = torch.nan
        for x in qkv:
            x[:, layout.pruned] = torch.nan

    poisoned = two_blocks(new_cache(window_frames=20), mask, recovery, noise(), seed, poison=poison)
    for expected, came in zip(clean, poisoned, strict=True):
        assert torch.equal(expected, came)


@pytest.mark.parametrize("recovery", RECOVERIES, ids=str)
@pytest.mark.parametrize("noise", NOISES, ids=repr)
def test_keeping_all_is_dense_for_every_recovery_and_noise(recovery, noise):
    everything = torch.ones(GRID, dtype=torch.bool)
    dense = two_blocks(new_cache(), everything, MDegree(), None, 3)
    ours = two_blocks(new_cache(), everything, recovery, noise(), 3)
    assert all(torch.equal(a, b) for a, b in zip(dense, ours, strict=True))
    assert isinstance(recovery, Recovery)


@pytest.mark.parametrize("recovery", RECOVERIES, ids=str)
@pytest.mark.parametrize("noise", NOISES, ids=repr)
def test_positions_that_roll_give_the_outputs_of_absolute_ones_while_nothing_was_evicted(recovery, noise):
    mask = torch.rand(GRID, generator=torch.Generator().manual_seed(1)) < 0.5
    absolute = two_blocks(new_cache(), mask, recovery, noise(), 3)
    rolling = two_blocks(
        new_cache(positions="rolling", sink_frames=1, window_frames=8), mask, recovery, noise(), 3
    )
    assert all(torch.equal(a, b) for a, b in zip(absolute, rolling, strict=True))


class Lender(NoiseSource):
    """Gives the same constant donors at every step, in need of no history."""

    per_step = False

    def ready(self, layout):
        return True

    def donors(self, donation):
        shape = (1, donation.places.shape[0], HEADS, HEAD_DIM)
        return torch.full(shape, 1.0 + donation.layer_idx), torch.full(shape, 1.0 + donation.layer_idx)

    def donor_times(self, layout, places):
        return torch.zeros_like(places)

    def observe(self, donation):
        pass

    def reset(self):
        pass


def test_layers_that_share_their_rows_are_filled_for_each_layer_and_step():
    mask = torch.ones(GRID, dtype=torch.bool)
    mask[1:] = False
    layout = TokenLayout(mask, has_history=False)
    cache = KVCache(2, ROPE, sink_frames=0, window_frames=0, persistent=False)
    context = BlockContext(cache, layout, MDegree(), Lender())
    q, k, v = (layout.prune(x) for x in states(layout, 0))
    for step in (0, 1):
        context.begin_pass(ForwardPass.at(step, 0.5))
        for layer_idx in (0, 1):
            seen = {}
            context.attend(layer_idx, q, k, v, lambda q, k, v, seen=seen: seen.update(v=v.clone()) or q)
            assert bool((seen["v"][:, 6:] == 1.0 + layer_idx).all()), (step, layer_idx)
