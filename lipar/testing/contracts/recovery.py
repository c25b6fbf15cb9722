"""Laws for recoveries."""

from collections.abc import Callable

import torch
from hypothesis import given

from lipar.protocols import Recovery
from lipar.testing.attention import AttentionStream, FillAll, SequenceDonors
from lipar.testing.closeness import assert_near
from lipar.testing.contracts.law import behind_guard, law, passes
from lipar.testing.strategies import mask_streams, seeds
from lipar.types import KeepMask


@law("recovery")
@given(masks=mask_streams(), seed=seeds)
def is_dense_where_everything_is_kept(make: Callable[[], Recovery], masks: list[KeepMask], seed: int) -> None:
    """Bit for bit what attention is without any recovery."""
    whole = [torch.ones_like(mask) for mask in masks]
    ours = AttentionStream(make(), SequenceDonors(), seed=seed).run(whole)
    dense = AttentionStream(FillAll(), None, seed=seed).run(whole)
    assert all(torch.equal(one, other) for one, other in zip(ours, dense, strict=True))


@law("recovery")
@given(masks=mask_streams(), seed=seeds)
def attends_to_nothing_that_was_not_computed_or_filled(
    make: Callable[[], Recovery], masks: list[KeepMask], seed: int
) -> None:
    """NaN in every row that no pass has written does not change the output of kept tokens."""
    clean = AttentionStream(make(), SequenceDonors(), seed=seed).run(masks)
    poisoned = AttentionStream(make(), SequenceDonors(), seed=seed, poison=True).run(masks)
    assert all(bool(output.isfinite().all()) for output in poisoned)
    assert all(torch.equal(one, other) for one, other in zip(clean, poisoned, strict=True))


@law("recovery")
@given(masks=mask_streams(), seed=seeds)
def treats_each_guidance_branch_as_if_alone(
    make: Callable[[], Recovery], masks: list[KeepMask], seed: int
) -> None:
    """Within 1e-5 standard deviations, since kernels may differ with the batch."""
    together = AttentionStream(make(), SequenceDonors(), seed=seed).run(masks)
    for branch in (0, 1):
        alone = AttentionStream(make(), SequenceDonors(), seed=seed, branches=[branch]).run(masks)
        for both, one in zip(together, alone, strict=True):
            assert_near(both[branch : branch + 1], one, 1e-5)


@law("recovery")
@given(masks=mask_streams(), others=mask_streams(), seed=seeds)
def plans_by_the_layout_alone(
    make: Callable[[], Recovery], masks: list[KeepMask], others: list[KeepMask], seed: int
) -> None:
    """A block's plan does not depend on the blocks that were planned before."""
    used = make()
    AttentionStream(used, SequenceDonors()).run(others)
    again = AttentionStream(used, SequenceDonors(), seed=seed).run(masks)
    fresh = AttentionStream(make(), SequenceDonors(), seed=seed).run(masks)
    assert all(torch.equal(one, other) for one, other in zip(again, fresh, strict=True))


@law("recovery")
@given(masks=mask_streams(), seed=seeds)
def passes_the_checks_of_a_run(make: Callable[[], Recovery], masks: list[KeepMask], seed: int) -> None:
    """Its plan has the block's grid, and its bias is finite wherever a place is present."""
    recovery, checks = behind_guard("recovery", make())
    AttentionStream(recovery, SequenceDonors(), seed=seed).run(masks)
    passes(checks)
