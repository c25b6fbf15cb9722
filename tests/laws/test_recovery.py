"""Laws of attention recovery (arXiv 2603.05811): exact for duplicates, a bound from below, one copy for many."""

from itertools import pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.attention.block import BlockContext, sdpa
from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import RotaryEmbedding, prepare_rotation, rotate
from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass
from lipar.testing.closeness import assert_near, error
from lipar.testing.strategies import keep_masks, seeds
from lipar_plugins.noise_sources import NoisyChain
from lipar_plugins.recoveries import Full, MDegree, NaiveCopy, Proportional

HEADS, HEAD_DIM = 2, 12
ROPE = RotaryEmbedding(HEAD_DIM)

masks = keep_masks(whole_first_frame=True)
places_in_time = st.lists(st.integers(-500, 2000), min_size=4, max_size=4)
"""Time of each frame of a block, in any order."""


def duplicates(layout, seed):
    """Queries of every place; keys and values where all places of a run are equal to their kept token."""
    generator = torch.Generator().manual_seed(seed)
    q, k, v = torch.randn(3, 1, layout.token_count, HEADS, HEAD_DIM, generator=generator)
    k, v = (layout.fill(None, layout.prune(x)) for x in (k, v))
    return q, k, v


def attended(layout, recovery, qkv, times, kernel=sdpa):
    """Attention of a block without other frames, its own frames at these times."""
    rotation = ROPE.grid_rotation(torch.tensor(times[: layout.frames]), *layout.grid[1:])
    cache = KVCache(1, ROPE, sink_frames=0, window_frames=0, persistent=False)
    context = BlockContext(cache, layout, recovery, NoisyChain(), rotation=rotation)
    context.begin_pass(ForwardPass.at(0, 0.8))
    return context.attend(0, *(layout.prune(x) for x in qkv), kernel)


def whole(layout):
    return TokenLayout.keep_all(layout.grid, has_history=False)


@given(masks, places_in_time, seeds, st.sampled_from([Full(), MDegree(), MDegree(degree=4)]))
def test_law_1_recovered_attention_of_duplicates_is_full_attention_at_any_offsets(
    mask, times, seed, recovery
):
    """Eq. 5 with delta = 0: sum_i exp(q.k_i) v_i = sum_j [sum_(l < c_j) exp(q.e^(l theta) k_j)] v_j, likewise below."""
    layout = TokenLayout(mask, has_history=False)
    qkv = duplicates(layout, seed)
    full = attended(whole(layout), Full(), qkv, times)
    assert_near(attended(layout, recovery, qkv, times), layout.prune(full), 5e-6, of=qkv[2])


def test_law_1_needs_the_rotation_of_each_place():
    mask = torch.zeros(3, 2, 2, dtype=torch.bool)
    mask[0] = True
    layout = TokenLayout(mask, has_history=False)
    qkv, times = duplicates(layout, 0), [0, 1, 2]
    full = layout.prune(attended(whole(layout), Full(), qkv, times))
    assert error(attended(layout, NaiveCopy(), qkv, times), full, of=qkv[2]) > 1e-2


def exp_sums(q, k, v):
    """A kernel that returns the denominators of softmax attention instead of its output."""
    scores = torch.einsum("b n h c, b m h c -> b n h m", q, k) / q.shape[-1] ** 0.5
    return scores.exp().sum(dim=-1, keepdim=True).expand_as(q)


@given(masks, places_in_time, seeds)
def test_law_2_the_truncated_sum_is_below_the_full_one_and_never_falls_with_m(mask, times, seed):
    """Eq. 11: sum of m of the c_j positive terms <= sum of m + 1 of them <= the sum of all."""
    layout = TokenLayout(mask, has_history=False)
    qkv = duplicates(layout, seed)
    degrees = [MDegree(degree=m) for m in range(1, layout.frames + 1)]
    sums = [attended(layout, recovery, qkv, times, exp_sums) for recovery in degrees]
    for lower, higher in pairwise(sums):
        assert bool((lower <= higher * (1 + 1e-5)).all())
    full = layout.prune(attended(whole(layout), Full(), qkv, times, exp_sums))
    assert_near(sums[-1], full, 1e-5)


def terms(q, k, query_time, count):
    """Scores of one query with the copies at frames 0 .. count - 1: q . e^(l theta) k."""
    here = torch.zeros(count, dtype=torch.long)
    rotated_q = rotate(q, prepare_rotation(ROPE.rotation(torch.tensor([query_time]), here[:1], here[:1])))
    copies = rotate(
        k.expand(1, count, -1, -1), prepare_rotation(ROPE.rotation(torch.arange(count), here, here))
    )
    return (rotated_q * copies).sum(-1)[0, :, 0]


def newest_are_largest(scores):
    """Whether, for every m, the m last terms are m largest ones."""
    return all(
        float(scores[-m:].min()) >= float(scores[:-m].max()) - 1e-4 * float(scores.abs().max())
        for m in range(1, len(scores))
    )


def in_phase(seed):
    """A query and a key whose channel pairs point the same way, with any lengths."""
    generator = torch.Generator().manual_seed(seed)
    k = torch.randn(1, 1, 1, HEAD_DIM, generator=generator)
    gain = torch.rand(HEAD_DIM // 2, generator=generator).repeat_interleave(2)
    return k * gain, k


@given(seeds, st.integers(2, 4), st.integers(0, 3))
def test_the_newest_copies_are_the_largest_terms_for_queries_in_phase_within_pi_frames(seed, count, later):
    """Eq. 10 picks the m most recent offsets for the m largest; it does while cos(l theta) falls for every channel."""
    query_time = min(count - 1 + later, 3)
    assert newest_are_largest(terms(*in_phase(seed), query_time, count))


@pytest.mark.parametrize(
    ("query_time", "count", "opposed"),
    [
        (0, 3, False),  # the query is earlier than the copies, as in a block's first frames
        (6, 7, False),  # further back than pi frames: the fastest channel has come round again
        (2, 3, True),  # the query points away from the key
    ],
)
def test_the_newest_copies_are_not_the_largest_terms_beyond_that(query_time, count, opposed):
    # only the fastest channel pair of time, which rotates by 1 radian per frame
    k = torch.zeros(1, 1, 1, HEAD_DIM)
    k[..., 0] = 1.0
    assert not newest_are_largest(terms(-k if opposed else k, k, query_time, count))


@given(masks, st.integers(0, 1000), seeds, st.sampled_from(["recent", "first"]))
def test_law_5_proportional_is_m_degree_with_all_copies_where_offsets_vanish(mask, time, seed, stands):
    """c exp(q.k) v = exp(q.k + log c) v: c equal copies at one position are one copy with weight c."""
    layout = TokenLayout(mask, has_history=False)
    qkv, times = duplicates(layout, seed), [time] * 4
    every_copy = attended(layout, MDegree(), qkv, times)
    for recovery in (Proportional(stands=stands), MDegree(degree=1, weigh=True)):
        assert_near(attended(layout, recovery, qkv, times), every_copy, 5e-6, of=qkv[2])


def test_law_5_ends_where_offsets_begin_and_without_the_weight():
    mask = torch.zeros(3, 1, 2, dtype=torch.bool)
    mask[0], mask[1:, 0, 0] = True, True
    layout = TokenLayout(mask, has_history=False)
    qkv = duplicates(layout, 0)
    for recovery, times in ((Proportional(), [0, 1, 2]), (MDegree(degree=1), [5, 5, 5])):
        every_copy = attended(layout, MDegree(), qkv, times)
        assert error(attended(layout, recovery, qkv, times), every_copy, of=qkv[2]) > 1e-3
