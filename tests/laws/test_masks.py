"""How masks must change when the source or a threshold does (metamorphic laws), at fixed thresholds."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.masks.halo import HaloBuffer
from lipar.masks.stream import clip_mask
from lipar.protocols import Change
from lipar.testing.strategies import features, seeds
from lipar_plugins.criteria import L1, L2, Cosine, RelativeL1, TrimmedL1
from lipar_plugins.refiners import (
    Bucket,
    Dilate,
    GaussianThreshold,
    KeepMovers,
    Median,
    MinKeep,
    OpenClose,
    Threshold,
)

DEFAULT = [Median(), GaussianThreshold(), Median(), OpenClose(), Dilate(), KeepMovers()]
CRITERIA = [L1(), TrimmedL1(), L2(), Cosine(), RelativeL1()]
TAUS = {"tau_short": 0.15, "tau_long": 0.3}
settings_here = settings(max_examples=25)


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@settings_here
@given(source=features(frames=st.just(1)), blocks=st.integers(1, 4))
def test_a_static_clip_keeps_only_its_first_block(criterion, source, blocks):
    keep = clip_mask(source.repeat(3 * blocks, 1, 1, 1), criterion, DEFAULT, **TAUS, block_frames=3)
    assert bool(keep[:3].all())
    assert not bool(keep[3:].any())


REACH = 1 + 1 + 1 + 2 + 1
"""Tokens that a change reaches in the default chain: median, Gaussian, median, opening with closing, dilation."""


# not relative-l1: its floor is computed from the whole frame
@pytest.mark.parametrize("criterion", [L1(), TrimmedL1(), L2(), Cosine()], ids=repr)
@settings_here
@given(seed=seeds, row=st.integers(2, 17), col=st.integers(2, 17), at=st.integers(3, 7))
def test_an_object_that_is_added_changes_the_mask_only_around_it(criterion, seed, row, col, at):
    generator = torch.Generator().manual_seed(seed)
    source = torch.randn(1, 20, 20, 8, generator=generator) + 0.15 * torch.randn(
        9, 20, 20, 8, generator=generator
    )
    touched = torch.zeros(20, 20, dtype=torch.bool)
    with_object = source.clone()
    for t in range(at, 9):
        column = min(col + t - at, 18)
        with_object[t, row : row + 2, column : column + 2] += 3
        touched[max(row - REACH, 0) : row + 2 + REACH, max(column - REACH, 0) : column + 2 + REACH] = True
    # With the long-term test, a place that is kept is compared with another reference afterwards, so later masks could
    # differ. Without it, only the object can make a difference.
    without, having = (
        clip_mask(clip, criterion, DEFAULT, tau_short=0.15, tau_long=None, block_frames=3)
        for clip in (source, with_object)
    )
    assert torch.equal(without[:at], having[:at])
    assert not bool((without != having)[:, ~touched].any())
    if col + 2 < 18 and criterion != Cosine():
        assert bool(having[at, row : row + 2, col : col + 2].all())


@pytest.mark.parametrize("criterion", CRITERIA, ids=repr)
@given(source=features(frames=st.just(4)), low=st.floats(0.001, 1), factor=st.floats(1, 5))
def test_each_test_against_a_fixed_reference_keeps_no_more_at_a_larger_tau(criterion, source, low, factor):
    for reference in (source[:1].expand_as(source), source.roll(1, 0)):
        distance = criterion(source, reference)
        assert bool(((distance > factor * low) <= (distance > low)).all())


def refined(chain, distance, long_term, tau_short, tau_long):
    """The mask of given distances after a chain, with the long-term test at its usual place."""
    change = Change(
        distance=distance, raw=distance, long_term=long_term, tau_short=tau_short, tau_long=tau_long
    )
    keeps = []
    for refiner in chain:
        if refiner.of_blocks:
            change = refiner(change)
            continue
        buffer = HaloBuffer(refiner)
        parts = [part for part in (buffer.push(change), buffer.flush()) if part is not None]
        before = change.keep
        change = Change(
            distance=torch.cat([part.distance for part in parts]),
            raw=distance,
            long_term=long_term,
            keep=None if parts[0].keep is None else torch.cat([part.keep for part in parts]),
            tau_short=tau_short,
            tau_long=tau_long,
        )
        if before is None and change.keep is not None:
            keeps.append(change.keep)
            change = Change(
                distance=change.distance,
                raw=distance,
                long_term=long_term,
                keep=change.keep | (long_term > tau_long),
                tau_short=tau_short,
                tau_long=tau_long,
            )
    return change.keep


MONOTONE = [
    [Threshold()],
    [GaussianThreshold()],
    [Median(), Threshold()],
    [Median(look_ahead=True), GaussianThreshold()],
    [Threshold(), Median()],
    [Threshold(), OpenClose()],
    [Threshold(), Dilate()],
    [Threshold(), Dilate(size=5, look_ahead=True)],
    [Threshold(), KeepMovers()],
    DEFAULT,
]


@pytest.mark.parametrize("chain", MONOTONE, ids=repr)
@settings_here
@given(seed=seeds, low=st.floats(0.05, 0.9), short=st.floats(1, 3), long=st.floats(1, 3))
def test_a_larger_tau_never_keeps_more_of_given_distances(chain, seed, low, short, long):
    generator = torch.Generator().manual_seed(seed)
    distance, long_term = torch.rand(2, 4, 7, 8, generator=generator)
    at_low = refined(chain, distance, long_term, low, 2 * low)
    at_high = refined(chain, distance, long_term, short * low, long * 2 * low)
    assert bool((at_high <= at_low).all())


# Bucket and MinKeep add tokens depending on how many are kept: the law is true for the number of tokens only, or not.
@settings_here
@given(seed=seeds, low=st.floats(0.05, 0.9), factor=st.floats(1, 3), multiple=st.integers(1, 40))
def test_a_bucket_never_keeps_more_tokens_at_a_larger_tau(seed, low, factor, multiple):
    generator = torch.Generator().manual_seed(seed)
    distance = torch.rand(4, 7, 8, generator=generator)
    for per in ("block", "frame"):
        chain = [Threshold(), Bucket(multiple=multiple, per=per)]
        counts = [
            refined(chain, distance, torch.zeros_like(distance), tau, 9.0).sum()
            for tau in (low, factor * low)
        ]
        assert counts[1] <= counts[0]


def test_min_keep_may_keep_more_at_a_larger_tau():
    # by design: few kept tokens are dilated until there are more than from many
    distance = torch.zeros(1, 9, 9)
    distance[0, 4, 4] = 2.0
    distance[0, 0, :] = 1.0
    chain = [Threshold(), MinKeep(fraction=0.1)]
    low, high = (refined(chain, distance, torch.zeros_like(distance), tau, 9.0) for tau in (0.5, 1.5))
    assert not bool((high <= low).all())


def test_a_larger_tau_may_keep_more_of_a_whole_clip():
    """The counterexample: the reference of a frame depends on what was kept before it.

    In a slow drift, the lower tau keeps a token earlier than the higher one. Its reference is then newer, so its next
    distance is smaller: in a frame that the higher tau keeps, the lower one need not.
    """
    drift = torch.tensor([0.0, 0.12, 0.24, 0.36, 0.48, 0.60]).reshape(-1, 1, 1, 1)
    keeps = [
        clip_mask(drift, L1(), [Threshold()], tau_short=1.0, tau_long=tau, block_frames=1).flatten().tolist()
        for tau in (0.2, 0.3)
    ]
    assert keeps == [[True, False, True, False, True, False], [True, False, False, True, False, False]]
    assert any(high > low for low, high in zip(*keeps))
