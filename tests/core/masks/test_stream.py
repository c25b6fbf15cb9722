import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from jaxtyping import TypeCheckError

from lipar.masks.stream import MaskStream, clip_mask
from lipar.testing.strategies import features, splits
from lipar_plugins.criteria import L1, L2, Cosine, TrimmedL1
from lipar_plugins.refiners import Dilate, GaussianThreshold, KeepMovers, Median, OpenClose, Threshold

settings_here = settings(max_examples=30)
"""A clip of blocks takes some tens of milliseconds where every shape is checked."""

DEFAULT = [Median(), GaussianThreshold(), Median(), OpenClose(), Dilate(), KeepMovers()]
RELEASED = [
    Median(look_ahead=True),
    GaussianThreshold(),
    Median(look_ahead=True),
    OpenClose(),
    Dilate(size=5, look_ahead=True),
]
TAUS = {"tau_short": 0.15, "tau_long": 0.3}
RELEASED_OPTIONS = {**TAUS, "block_frames": 3, "reference": "thresholded", "whole_first_frames": 1}
CHAINS = [
    pytest.param(DEFAULT, {**TAUS, "block_frames": 3}, id="default"),
    pytest.param(RELEASED, RELEASED_OPTIONS, id="released"),
    pytest.param(RELEASED, {**TAUS, "block_frames": 3}, id="look-ahead, kept"),
    pytest.param([Threshold()], {**TAUS, "block_frames": 2, "whole_first_frames": 3}, id="bare"),
]


def moving_square(frames=12, rows=12, cols=20):
    """A still background over which 2x2 tokens travel, and the mask of where they are."""
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(1, rows, cols, 64, generator=generator).repeat(frames, 1, 1, 1)
    square = torch.randn(2, 2, 64, generator=generator)
    place = torch.zeros(frames, rows, cols, dtype=torch.bool)
    for t in range(frames):
        place[t, 5:7, t + 2 : t + 4] = True
        source[t, 5:7, t + 2 : t + 4] = square
    return source, place


@pytest.mark.parametrize(("refiners", "options"), CHAINS)
@settings_here
@given(data=st.data())
def test_a_stream_equals_one_pass_however_it_is_fed(refiners, options, data):
    source = data.draw(features(frames=st.integers(1, 13)))
    stream = MaskStream(L1(), refiners, **options)
    blocks = []
    for piece in source.split(data.draw(splits(source.shape[0]))):
        blocks += stream.push(piece)
    blocks += stream.flush()
    whole = clip_mask(source, L1(), refiners, **options)
    assert torch.equal(torch.cat([block.keep_mask for block in blocks]), whole)
    assert whole.shape == source.shape[:-1]
    assert [block.index for block in blocks] == list(range(len(blocks)))
    assert [block.first_frame for block in blocks] == [
        i * options["block_frames"] for i in range(len(blocks))
    ]


@pytest.mark.parametrize("refiners", [DEFAULT, RELEASED], ids=["default", "released"])
@settings_here
@given(source=features(frames=st.integers(1, 13)), block_frames=st.integers(1, 5))
def test_without_a_long_term_test_blocks_do_not_matter(refiners, source, block_frames):
    options = {"tau_short": 0.15, "tau_long": None, "whole_first_frames": 2}
    in_blocks = clip_mask(source, L1(), refiners, block_frames=block_frames, **options)
    assert torch.equal(in_blocks, clip_mask(source, L1(), refiners, block_frames=source.shape[0], **options))


@pytest.mark.parametrize(("refiners", "options"), CHAINS)
@settings_here
@given(blocks=st.integers(1, 6))
def test_masks_come_as_late_as_the_refiners_look_ahead_and_memory_is_bounded(refiners, options, blocks):
    size = options["block_frames"]
    source = torch.randn(blocks * size, 3, 4, 8)
    stream = MaskStream(L1(), refiners, **options)
    late = -(-stream.future_frames // size)
    for index, block in enumerate(source.split(size)):
        decided = [block.index for block in stream.push(block)]
        assert decided == ([index - late] if index >= late else [])
        assert stream.frames_waiting <= late * size
    assert [block.index for block in stream.flush()] == list(range(max(blocks - late, 0), blocks))
    assert stream.flush() == []


@settings_here
@given(source=features(frames=st.integers(2, 12)), data=st.data())
def test_the_default_chain_does_not_look_ahead(source, data):
    assert MaskStream(L1(), DEFAULT, **TAUS, block_frames=3).future_frames == 0
    frames = data.draw(st.integers(1, source.shape[0] - 1))
    whole = clip_mask(source, L1(), DEFAULT, **TAUS, block_frames=3)
    assert torch.equal(whole[:frames], clip_mask(source[:frames], L1(), DEFAULT, **TAUS, block_frames=3))


def test_the_default_chain_keeps_small_movers():
    source, place = moving_square()
    keep_mask = clip_mask(source, TrimmedL1(), DEFAULT, **TAUS, block_frames=3)
    assert bool(keep_mask[place].all())
    assert keep_mask[3:].float().mean() < 0.1


def test_released_chain_loses_small_movers():
    source, _ = moving_square()
    keep_mask = clip_mask(source, TrimmedL1(), RELEASED, **RELEASED_OPTIONS)
    blocks = keep_mask.split(3)
    assert any(not bool(block.any()) for block in blocks)


@pytest.mark.parametrize("criterion", [L1(), TrimmedL1(), L2(), Cosine()], ids=repr)
@pytest.mark.parametrize(("refiners", "options"), CHAINS)
@settings_here
@given(source=features(frames=st.just(1)), frames=st.integers(1, 9))
def test_a_still_picture_is_pruned_after_the_frames_kept_whole(criterion, refiners, options, source, frames):
    keep_mask = clip_mask(source.repeat(frames, 1, 1, 1), criterion, refiners, **options)
    whole = options.get("whole_first_frames", options["block_frames"])
    assert bool(keep_mask[:whole].all())
    assert not bool(keep_mask[whole:].any())


# Only without the long-term test: a token kept at a lower tau_short changes what later frames are compared with.
@pytest.mark.parametrize("refiners", [DEFAULT, RELEASED], ids=["default", "released"])
@settings_here
@given(source=features(frames=st.integers(1, 9), noise=0.15), tau_short=st.floats(0.01, 0.5))
def test_a_lower_tau_short_never_keeps_less(refiners, source, tau_short):
    low, high = (
        clip_mask(source, L1(), refiners, tau_short=tau, tau_long=None, block_frames=3)
        for tau in (tau_short, 1.3 * tau_short)
    )
    assert bool((high <= low).all())


def test_the_first_block_is_kept_whole_unless_told_otherwise():
    still = torch.zeros(9, 4, 4, 8)
    for whole, expected in ((None, 3), (1, 1), (2, 2), (5, 5)):
        keep_mask = clip_mask(still, L1(), DEFAULT, **TAUS, block_frames=3, whole_first_frames=whole)
        assert keep_mask.flatten(1).all(dim=1).tolist() == [t < expected for t in range(9)]


def test_a_chain_without_a_threshold_is_refused():
    with pytest.raises(ValueError, match="the refiners make no mask"):
        clip_mask(torch.zeros(4, 2, 2, 8), L1(), [Median()], **TAUS, block_frames=2)


def test_a_scene_has_one_size():
    stream = MaskStream(L1(), DEFAULT, **TAUS, block_frames=2)
    stream.push(torch.zeros(2, 4, 4, 8))
    with pytest.raises(ValueError, match="a scene has one size"):
        stream.push(torch.zeros(2, 4, 5, 8))


def test_a_flushed_scene_takes_no_more_frames():
    stream = MaskStream(L1(), DEFAULT, **TAUS, block_frames=2)
    stream.flush()
    with pytest.raises(RuntimeError, match="flushed"):
        stream.push(torch.zeros(2, 4, 4, 8))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"block_frames": 0}, "at least one frame"), ({"block_frames": 1, "reference": "last"}, "last")],
)
def test_options_that_mean_nothing_are_refused(options, message):
    # with shapes checked, the type of the argument speaks first
    with pytest.raises((ValueError, TypeCheckError), match=message):
        MaskStream(L1(), DEFAULT, **TAUS, **options)
