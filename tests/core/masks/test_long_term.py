"""The long-term test: which frames it compares with, and what it bounds."""

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from mask_toys import Watch

from lipar.masks.long_term import KeptReference, ThresholdedReference, last_kept
from lipar.masks.stream import clip_mask
from lipar.protocols import Change
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import features, keep_masks
from lipar_plugins.criteria import L1
from lipar_plugins.refiners import Dilate, GaussianThreshold, KeepMovers, Median, OpenClose

settings_here = settings(max_examples=30)


DEFAULT = [Median(), GaussianThreshold(), Median(), OpenClose(), Dilate(), KeepMovers()]


TAUS = {"tau_short": 0.15, "tau_long": 0.3}


def test_a_slow_drift_is_caught_by_the_long_term_test_only():
    source = torch.randn(1, 6, 6, 16) + 0.12 * torch.arange(12.0).reshape(-1, 1, 1, 1)
    short_only = clip_mask(source, L1(), DEFAULT, tau_short=0.15, tau_long=None, block_frames=3)
    assert not bool(short_only[3:].any())
    both = clip_mask(source, L1(), DEFAULT, **TAUS, block_frames=3)
    # 0.12 and 0.24 from what is shown pass, 0.36 does not; the dilation keeps the next frame as well
    assert both.flatten(1).all(dim=1).tolist() == [True] * 3 + [False, False, True] + [True, False, True] * 2


@settings_here
@given(source=features(frames=st.integers(1, 12), change=0.3, noise=0.1), block_frames=st.integers(1, 4))
def test_what_is_shown_never_strays_far_from_the_source(source, block_frames):
    keep_mask = clip_mask(source, L1(), DEFAULT, **TAUS, block_frames=block_frames)
    shown = source[0]
    for t in range(source.shape[0]):
        shown = torch.where(keep_mask[t, ..., None], source[t], shown)
        # the last token kept is in the block, at most one frame less away, or before it
        bound = 2 * max(TAUS["tau_long"], TAUS["tau_short"] * (block_frames - 1))
        assert float((shown - source[t]).abs().mean(dim=-1).max()) <= bound * (1 + 1e-5)


@settings_here
@given(source=features(frames=st.integers(1, 12), noise=0.1), block_frames=st.integers(1, 4))
def test_the_long_term_reference_is_what_the_frame_before_the_block_shows(source, block_frames):
    watch = Watch()
    options = {**TAUS, "block_frames": block_frames}
    keep_mask = clip_mask(source, L1(), [*DEFAULT, watch], **options)
    long_term = torch.cat([torch.zeros(1, *source.shape[1:3]), *(change.long_term for change in watch.seen)])
    shown = source[0]
    for first in range(0, source.shape[0], block_frames):
        block = slice(first, first + block_frames)
        if first:
            expected = (source[block] - shown).abs().mean(dim=-1)
            assert_near(long_term[block], expected, 2e-6, of=source)
        for t in range(*block.indices(source.shape[0])):
            shown = torch.where(keep_mask[t, ..., None], source[t], shown)


@settings_here
@given(data=st.data())
def test_last_kept_is_a_loop_over_frames(data):
    keep_mask = data.draw(keep_masks())
    source = torch.randn(*keep_mask.shape, 3)
    expected = before = torch.randn(*keep_mask.shape[1:], 3)
    for t in range(keep_mask.shape[0]):
        expected = torch.where(keep_mask[t, ..., None], source[t], expected)
    assert torch.equal(last_kept(source, keep_mask, before), expected)


def values(*numbers):
    """Frames of one token with one feature."""
    return torch.tensor(numbers).reshape(-1, 1, 1, 1)


def kept_by(reference, source, first_frame):
    """Which of these frames the test keeps, if nothing else does."""
    nothing = torch.zeros(source.shape[:3])
    change = Change(
        distance=nothing,
        raw=nothing,
        long_term=nothing,
        keep=torch.zeros(source.shape[:3], dtype=torch.bool),
        tau_short=0.5,
        tau_long=1.0,
    )
    return reference.test(change, source, first_frame).keep.flatten().tolist()


def mask(*flags):
    return torch.tensor(flags).reshape(-1, 1, 1)


def test_the_kept_reference_is_the_last_token_of_the_final_mask():
    reference = KeptReference(L1(), values(0.0)[0])
    assert kept_by(reference, values(0.9, 1.1), 1) == [False, True]
    reference.decided(values(0.9, 5.0), mask(True, False))
    assert kept_by(reference, values(1.8, 2.0), 3) == [False, True]
    reference.replaced(values(0.9, 5.0), mask(True, True))
    assert kept_by(reference, values(4.5, 2.0), 3) == [False, True]


def test_the_thresholded_reference_is_fixed_over_a_block_and_ignores_the_final_mask():
    reference = ThresholdedReference(L1(), values(0.0)[0], block_frames=2)
    assert kept_by(reference, values(9.0), 1) == [False]  # no test in the first block
    reference.decided(values(0.0, 9.0), mask(True, True))
    assert kept_by(reference, values(9.0, 9.0), 2) == [True, True]  # nothing was kept since 0.0
    assert kept_by(reference, values(9.5, 11.0), 4) == [False, True]
