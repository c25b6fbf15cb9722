"""A step that computes some tokens: they attend to the others by the rows that an earlier step wrote."""

import attrs
import pytest
import torch

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.attention.partial_block import PartialBlock
from lipar.attention.rope import RotaryEmbedding
from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass, Recovery, RecoveryPlan
from lipar.testing.attention import FillAll, SequenceDonors
from lipar.testing.closeness import assert_near
from lipar_plugins.recoveries import MDegree, NoRecovery

HEADS, HEAD_DIM = 2, 12
KEPT = torch.tensor([[[True, True, False], [True, True, True]]])
COMPUTED = torch.tensor([[[True, False, False], [False, True, True]]])


@attrs.frozen
class Apart(Recovery):
    """Leaves one kept token out of attention."""

    def plan(self, layout):
        present = torch.ones(layout.grid, dtype=torch.bool)
        present[0, 1, 1] = False
        return RecoveryPlan(present=present)


class Counting(SequenceDonors):
    """Counts what it is given to measure."""

    def __init__(self):
        self.observed = 0

    def observe(self, donation):
        self.observed += 1


def states(count, seed):
    return torch.randn(3, 1, count, HEADS, HEAD_DIM, generator=torch.Generator().manual_seed(seed))


def block(recovery, *, fused=False):
    """A block behind one frame, and its noise source."""
    cache = KVCache(1, RotaryEmbedding(HEAD_DIM), sink_frames=1, window_frames=4)
    first = BlockContext(cache, TokenLayout.keep_all((1, 2, 3)), recovery, SequenceDonors())
    first.begin_pass(ForwardPass.at(-1, 0.0))
    first.attend(0, *states(6, 0))
    first.commit()
    noise = Counting()
    layout = TokenLayout(KEPT, first_frame=1)
    return BlockContext(cache, layout, recovery, noise if recovery.fills else None, fused=fused), noise


@pytest.mark.parametrize("fused", [False, True])
@pytest.mark.parametrize(
    "recovery", [FillAll(), MDegree(), NoRecovery(), Apart()], ids=lambda x: type(x).__name__
)
def test_with_the_input_of_the_step_before_computed_tokens_get_what_they_got(recovery, fused):
    whole, _ = block(recovery, fused=fused)
    whole.begin_pass(ForwardPass.at(0, 0.9))
    q, k, v = states(5, 1)
    expected = whole.attend(0, q, k, v)
    partial = PartialBlock(whole, TokenLayout(COMPUTED, first_frame=1))
    partial.begin_pass(ForwardPass.at(1, 0.5))
    among = COMPUTED[KEPT]
    ours = partial.attend(0, q[:, among], k[:, among], v[:, among])
    assert_near(ours, expected[:, among], 1e-5)


def test_rows_of_the_others_stay_and_those_of_computed_tokens_change():
    whole, _ = block(FillAll())
    whole.begin_pass(ForwardPass.at(0, 0.9))
    whole.attend(0, *states(5, 1))
    rows = whole._cache.layer(0, states(5, 1)[1], 12)
    before = rows.k_rotated[:, 6:12].clone(), rows.v[:, 6:12].clone()
    partial = PartialBlock(whole, TokenLayout(COMPUTED, first_frame=1))
    partial.begin_pass(ForwardPass.at(1, 0.5))
    partial.attend(0, *states(3, 2))
    for old, new in zip(before, (rows.k_rotated[:, 6:12], rows.v[:, 6:12]), strict=True):
        same = (old == new).flatten(2).all(dim=2)[0]
        assert same.tolist() == (~COMPUTED.flatten()).tolist()


def test_the_noise_source_measures_only_steps_that_compute_every_kept_token():
    whole, noise = block(FillAll())
    whole.begin_pass(ForwardPass.at(0, 0.9))
    whole.attend(0, *states(5, 1))
    partial = PartialBlock(whole, TokenLayout(COMPUTED, first_frame=1))
    partial.begin_pass(ForwardPass.at(1, 0.5))
    partial.attend(0, *states(3, 2))
    assert noise.observed == 1


def test_it_is_not_recorded_and_the_reason_is_given():
    whole, _ = block(FillAll())
    assert whole.signature is not None
    partial = PartialBlock(whole, TokenLayout(COMPUTED, first_frame=1))
    assert partial.signature is None
    assert "reuse" in partial.why_not_recorded
