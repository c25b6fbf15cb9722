"""A block whose tokens are merged: fewer queries and rows in the denoise steps, all of them in the clean pass."""

import torch

from lipar.attention.block import BlockContext, sdpa
from lipar.attention.kv_cache import KVCache
from lipar.attention.merge import Match, merged, rotation_of, unmerged
from lipar.attention.merged_block import block_context
from lipar.attention.rope import RotaryEmbedding, rotate
from lipar.layout import TokenLayout
from lipar.model import GuidedAttention
from lipar.protocols import ForwardPass, Merging
from lipar.testing.attention import FillAll, SequenceDonors
from lipar.testing.closeness import assert_near
from lipar_plugins.recoveries import MDegree

HEADS, HEAD_DIM = 2, 12


def match_from(group):
    """The match of these groups, each at its first token."""
    group = torch.tensor(group)
    at = [[row.tolist().index(number) for number in range(int(group.max()) + 1)] for row in group]
    return Match(group, torch.tensor(at))


class Fixed(Merging):
    """Merges as it is told."""

    def __init__(self, group, *, proportional=False):
        self.group, self.proportional = group, proportional

    def match(self, tokens):
        return match_from([self.group] * tokens.q.shape[0])


class Counting:
    """The attention kernel; counts what it is given."""

    def __init__(self):
        self.sizes, self.bias = [], []

    def __call__(self, q, k, v, *bias):
        self.sizes.append((q.shape[1], k.shape[1]))
        self.bias.append(bias)
        return sdpa(q, k, v, *bias)


def context(mask, merging, first_frame=0, cache=None, recovery=None):
    cache = cache or KVCache(1, RotaryEmbedding(HEAD_DIM), sink_frames=1, window_frames=4)
    layout = TokenLayout(mask, first_frame=first_frame, has_history=first_frame > 0)
    return block_context(cache, layout, recovery or FillAll(), SequenceDonors(), merging=merging), cache


def one_pass(block, kernel, step=0, seed=0):
    block.begin_pass(ForwardPass.at(step, 0.5 if step >= 0 else 0.0))
    shape = (3, 1, block.layout.kept_count, HEADS, HEAD_DIM)
    q, k, v = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
    return block.attend(0, q, k, v, kernel)


def test_attention_has_as_many_queries_and_keys_as_there_are_groups_and_the_clean_pass_has_all():
    kernel = Counting()
    block, _ = context(torch.ones(1, 2, 3, dtype=torch.bool), Fixed([0, 1, 0, 2, 1, 0]))
    out = one_pass(block, kernel)
    assert torch.equal(out[:, 0], out[:, 2]) and torch.equal(out[:, 1], out[:, 4])
    one_pass(block, kernel, step=-1)
    assert kernel.sizes == [(3, 3), (6, 6)]


def test_frames_before_the_block_are_not_merged():
    kernel = Counting()
    whole = torch.ones(1, 2, 3, dtype=torch.bool)
    block, cache = context(whole, None)
    one_pass(block, sdpa, step=-1)
    block.commit()
    block, _ = context(whole, Fixed([0, 0, 0, 1, 1, 1]), first_frame=1, cache=cache)
    one_pass(block, kernel)
    assert kernel.sizes == [(2, 6 + 2)]


def test_in_a_block_with_pruned_tokens_only_queries_are_merged():
    kernel = Counting()
    whole, half = torch.ones(1, 2, 3, dtype=torch.bool), torch.tensor([[[True] * 3, [False] * 3]])
    block, cache = context(whole, None)
    one_pass(block, sdpa, step=-1)
    block.commit()
    block, _ = context(half, Fixed([0, 0, 1]), first_frame=1, cache=cache, recovery=MDegree())
    one_pass(block, kernel)
    assert kernel.sizes == [(2, 6 + 6)]


def test_proportional_attention_is_what_copies_of_the_merged_keys_would_give():
    group = [0, 1, 0, 2, 1, 0]
    kernel, q = Counting(), torch.randn(1, 6, HEADS, HEAD_DIM)
    block, _ = context(torch.ones(1, 2, 3, dtype=torch.bool), Fixed(group, proportional=True))
    block.begin_pass(ForwardPass.at(0, 0.5))
    k, v = torch.randn(2, 1, 6, HEADS, HEAD_DIM)
    ours = block.attend(0, q, k, v, kernel)
    match = match_from([group])
    rotation = rotation_of(block._kept_rotation, match)
    q_merged, k_merged, v_merged = (merged(x, match, match.sizes()) for x in (q, k, v))
    copies = [unmerged(x, match) for x in (rotate(k_merged, rotation), v_merged)]
    assert_near(ours, unmerged(sdpa(rotate(q_merged, rotation), *copies), match), 1e-5)


def test_a_merging_of_groups_of_one_is_attention_as_it_was():
    mask = torch.ones(1, 2, 3, dtype=torch.bool)
    ours, plain = (one_pass(context(mask, merging)[0], sdpa) for merging in (Fixed([*range(6)]), None))
    assert torch.equal(ours, plain)


def test_what_a_merging_makes_is_not_recorded_and_the_reason_is_given():
    block, _ = context(torch.ones(1, 2, 3, dtype=torch.bool), Fixed([*range(6)]))
    assert block.signature is None
    assert "merging" in block.why_not_recorded


def test_without_a_merging_a_block_is_a_plain_one_and_is_told_no_guidance():
    mask = torch.ones(1, 2, 3, dtype=torch.bool)
    plain, ours = (context(mask, merging)[0] for merging in (None, Fixed([*range(6)])))
    assert type(plain) is BlockContext
    assert not isinstance(plain, GuidedAttention) and isinstance(ours, GuidedAttention)
