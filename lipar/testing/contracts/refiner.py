"""Laws for refiners."""

from collections.abc import Callable, Sequence
from itertools import pairwise

import attrs
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.masks.halo import HaloBuffer
from lipar.protocols import Change, Refiner
from lipar.testing.contracts.law import behind_guard, law, passes
from lipar.testing.strategies import changes, splits


def through(refiner: Refiner, change: Change, sizes: Sequence[int]) -> Change:
    """The result for a stream of frames, fed in pieces of these sizes; for a refiner of blocks, in one piece."""
    if refiner.of_blocks:
        return refiner(change)
    buffer = HaloBuffer(refiner)
    ends = [0, *torch.tensor(sizes).cumsum(0).tolist()]
    given = [change.inner(begin, change.frames - end) for begin, end in pairwise(ends)]
    pieces = [piece for piece in [*map(buffer.push, given), buffer.flush()] if piece is not None]
    masks = [piece.keep for piece in pieces if piece.keep is not None]
    return attrs.evolve(
        change,
        distance=torch.cat([piece.distance for piece in pieces]),
        raw=torch.cat([piece.raw for piece in pieces]),
        long_term=torch.cat([piece.long_term for piece in pieces]),
        keep=torch.cat(masks) if masks else None,
    )


def answers(refiner: Refiner, change: Change) -> list[Change]:
    """Its results for a change without and with a mask; a refiner may refuse one of the two."""
    answered, refusals = [], []
    for offered in (attrs.evolve(change, keep=None), change):
        try:
            answered.append(through(refiner, offered, [change.frames]))
        except ValueError as error:
            refusals.append(error)
    assert answered, f"it takes distances neither with a mask nor without: {refusals}"
    return answered


@law("refiner")
def says_how_far_it_sees_and_what_stands_beyond_the_scene(make: Callable[[], Refiner]) -> None:
    """Whole numbers of frames, and one of the two borders."""
    refiner = make()
    assert refiner.past_frames == int(refiner.past_frames) >= 0
    assert refiner.future_frames == int(refiner.future_frames) >= 0
    assert refiner.border in ("replicate", "zero")


@law("refiner")
@given(change=changes())
def answers_for_the_frames_that_have_their_halo(make: Callable[[], Refiner], change: Change) -> None:
    """Every frame of the scene once, with distances and a mask of its grid; none is NaN, raw ones are untouched."""
    for answer in answers(make(), change):
        assert answer.distance.shape == change.distance.shape
        assert bool(answer.distance.isfinite().all())
        assert torch.equal(answer.raw, change.raw)
        assert torch.equal(answer.long_term, change.long_term)
        assert answer.keep is None or answer.keep.shape == change.distance.shape


@law("refiner")
@given(change=changes(), data=st.data())
def answers_the_same_however_frames_come(
    make: Callable[[], Refiner], change: Change, data: st.DataObject
) -> None:
    """It keeps no state: its result for a frame depends on the frame and its halo only."""
    refiner, sizes = make(), data.draw(splits(change.frames))
    for offered in (attrs.evolve(change, keep=None), change):
        try:
            whole = through(refiner, offered, [change.frames])
        except ValueError:
            continue
        apart = through(refiner, offered, sizes)
        assert torch.equal(apart.distance, whole.distance)
        assert (apart.keep is None) == (whole.keep is None)
        if apart.keep is not None and whole.keep is not None:
            assert torch.equal(apart.keep, whole.keep)


@law("refiner")
@given(change=changes())
def leaves_what_it_is_given(make: Callable[[], Refiner], change: Change) -> None:
    """Its result is new; the given distances and mask are not changed."""
    assert change.keep is not None
    before = change.distance.clone(), change.keep.clone()
    answers(make(), change)
    assert torch.equal(change.distance, before[0])
    assert torch.equal(change.keep, before[1])


@law("refiner")
@given(change=changes(), share=st.sampled_from([0.1, 0.5]))
def keeps_more_where_more_was_kept(make: Callable[[], Refiner], change: Change, share: float) -> None:
    """If it declares `monotone = True`: a larger input mask never gives a smaller output."""
    refiner = make()
    if not refiner.monotone:
        return
    assert change.keep is not None
    more = change.keep | (torch.rand(change.keep.shape, generator=torch.Generator().manual_seed(0)) < share)
    less_kept = through(refiner, change, [change.frames])
    more_kept = through(refiner, attrs.evolve(change, keep=more), [change.frames])
    assert less_kept.keep is not None and more_kept.keep is not None
    assert not bool((less_kept.keep & ~more_kept.keep).any())


@law("refiner")
@given(change=changes())
def passes_the_checks_of_a_run(make: Callable[[], Refiner], change: Change) -> None:
    """Its mask is boolean and in the given grid, and a given mask is not lost."""
    refiner, checks = behind_guard("refiner", make())
    answers(refiner, change)
    passes(checks)
