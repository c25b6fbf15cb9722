"""Laws for reuses."""

from collections.abc import Callable

import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.protocols import Change, Reuse
from lipar.testing.contracts.law import behind_guard, law, passes
from lipar.testing.strategies import changes
from lipar.types import KeepMask

STEPS = st.integers(1, 5)


def masks_of(reuse: Reuse, change: Change, steps: int) -> list[KeepMask] | None:
    """The masks of a block; None if it refuses so few steps, or nothing is kept."""
    assert change.keep is not None
    try:
        reuse.check_steps(steps)
    except ValueError:
        return None
    return list(reuse.computed(change.raw, change.keep, steps)) if bool(change.keep.any()) else None


@law("reuse")
@given(change=changes(), steps=STEPS)
def computes_everything_first_and_something_always(
    make: Callable[[], Reuse], change: Change, steps: int
) -> None:
    """One mask for each step: all kept tokens in the first, at least one and no pruned one in the others."""
    masks, keep = masks_of(make(), change, steps), change.keep
    if masks is None or keep is None:
        return
    assert len(masks) == steps
    assert torch.equal(masks[0], keep)
    for mask in masks[1:]:
        assert mask.dtype == torch.bool and mask.shape == keep.shape
        assert bool(mask.any())
        assert not bool((mask & ~keep).any())


@law("reuse")
@given(change=changes(), other=changes(), steps=STEPS)
def answers_by_what_it_is_given_alone(
    make: Callable[[], Reuse], change: Change, other: Change, steps: int
) -> None:
    """The same masks again, whatever was asked in between, and the arguments are not changed."""
    reuse = make()
    assert change.keep is not None
    before = change.raw.clone(), change.keep.clone()
    first = masks_of(reuse, change, steps)
    masks_of(reuse, other, steps)
    again = masks_of(reuse, change, steps)
    assert torch.equal(change.raw, before[0]) and torch.equal(change.keep, before[1])
    assert (first is None) == (again is None)
    if first is not None and again is not None:
        assert all(torch.equal(*pair) for pair in zip(first, again, strict=True))


@law("reuse")
def runs_with_some_number_of_steps(make: Callable[[], Reuse]) -> None:
    """It may refuse few steps, but not all numbers up to 50."""
    refusals = []
    for steps in range(1, 51):
        try:
            make().check_steps(steps)
        except ValueError as error:
            refusals.append(error)
    assert len(refusals) < 50, refusals[-1]


@law("reuse")
@given(change=changes(), steps=STEPS)
def passes_the_checks_of_a_run(make: Callable[[], Reuse], change: Change, steps: int) -> None:
    """Its masks are boolean and of the block's grid."""
    reuse, checks = behind_guard("reuse", make())
    masks_of(reuse, change, steps)
    passes(checks)
