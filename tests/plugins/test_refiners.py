import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.masks.stream import HaloBuffer, MaskStream, clip_mask
from lipar.protocols import Change, Refiner
from lipar.testing.strategies import keep_masks, seeds
from lipar_plugins.criteria import L1
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

ON_MASKS = [
    Median(),
    Median(look_ahead=True),
    OpenClose(),
    Dilate(),
    Dilate(size=5, look_ahead=True),
    Dilate(size=5, look_ahead=True, look_back=False),
    MinKeep(),
    KeepMovers(),
]
ON_DISTANCES = [
    Median(),
    Median(look_ahead=True),
    GaussianThreshold(),
    GaussianThreshold(sigma=0.3),
    Threshold(),
]


def change_of(keep=None, distance=None, tau_short=0.15):
    if distance is None:
        distance = torch.zeros(keep.shape)
    return Change(
        distance=distance,
        raw=distance,
        long_term=torch.zeros_like(distance),
        keep=keep,
        tau_short=tau_short,
        tau_long=0.3,
    )


def refine_scene(refiner, change):
    """What a refiner answers to a whole scene, with the scene's own borders."""
    buffer = HaloBuffer(refiner)
    parts = [part for part in (buffer.push(change), buffer.flush()) if part is not None]
    distance = torch.cat([part.distance for part in parts])
    return distance, None if parts[0].keep is None else torch.cat([part.keep for part in parts])


def nearest(volume, t, y, x):
    t, y, x = (min(max(i, 0), n - 1) for i, n in zip((t, y, x), volume.shape))
    return volume[t, y, x]


def windows(volume, times):
    """Values of the 3x3 places in the given frames around every place, nearest beyond the edges."""
    for place in np.ndindex(*volume.shape):
        t, y, x = place
        yield (
            place,
            [nearest(volume, t + s, y + v, x + u) for s in times for v in (-1, 0, 1) for u in (-1, 0, 1)],
        )


def morph(frame, radius, pick):
    """Minimum or maximum over a square, of the places that exist."""
    out = frame.copy()
    for y, x in np.ndindex(*frame.shape):
        out[y, x] = pick(frame[max(y - radius, 0) : y + radius + 1, max(x - radius, 0) : x + radius + 1])
    return out


@pytest.mark.parametrize("refiner", ON_MASKS + ON_DISTANCES, ids=repr)
def test_it_is_a_refiner(refiner):
    assert isinstance(refiner, Refiner)


@pytest.mark.parametrize("refiner", ON_MASKS, ids=repr)
@given(keep=keep_masks())
def test_a_mask_stays_on_its_grid(refiner, keep):
    distance, refined = refine_scene(refiner, change_of(keep))
    assert refined.shape == distance.shape == keep.shape


@pytest.mark.parametrize("refiner", ON_MASKS, ids=repr)
@given(keep=keep_masks())
def test_empty_stays_empty_and_full_stays_full(refiner, keep):
    empty, full = torch.zeros_like(keep), torch.ones_like(keep)
    assert torch.equal(refine_scene(refiner, change_of(empty))[1], empty)
    assert torch.equal(refine_scene(refiner, change_of(full))[1], full)


# Not so for min-keep: a small mask may be widened until it reaches past a larger one.
@pytest.mark.parametrize(
    "refiner", [refiner for refiner in ON_MASKS if type(refiner) is not MinKeep], ids=repr
)
@given(keep=keep_masks(), data=st.data())
def test_keeping_more_before_never_keeps_less_after(refiner, keep, data):
    more = keep | data.draw(keep_masks(**dict(zip(("frames", "rows", "cols"), map(st.just, keep.shape)))))
    refined, refined_more = (refine_scene(refiner, change_of(mask))[1] for mask in (keep, more))
    assert bool((refined <= refined_more).all())


@pytest.mark.parametrize("look_ahead", [False, True])
@given(frames=st.integers(1, 4), seed=seeds)
def test_the_median_of_distances_is_the_middle_of_the_window(look_ahead, frames, seed):
    distance = torch.rand(frames, 3, 4, generator=torch.Generator().manual_seed(seed))
    smooth, keep = refine_scene(Median(look_ahead=look_ahead), change_of(distance=distance))
    assert keep is None
    for place, values in windows(distance.numpy(), (-1, 0, 1) if look_ahead else (0,)):
        assert smooth[place].item() == sorted(values)[len(values) // 2]


@pytest.mark.parametrize("look_ahead", [False, True])
@given(keep=keep_masks())
def test_the_median_of_a_mask_is_the_median_of_zeros_and_ones(look_ahead, keep):
    refiner = Median(look_ahead=look_ahead)
    by_count = refine_scene(refiner, change_of(keep))[1]
    assert torch.equal(by_count, refine_scene(refiner, change_of(distance=keep.float()))[0].bool())


def test_the_median_passes_a_change_in_its_first_frame_and_stops_with_it():
    distance = torch.zeros(3, 5, 5)
    distance[1] = 1.0
    assert bool((refine_scene(Median(), change_of(distance=distance))[0] == distance).all())


@given(frames=st.integers(1, 4), seed=seeds, sigma=st.sampled_from([0.3, 1.0, 1.5, 5.0]))
def test_the_gaussian_is_a_weighted_mean_of_this_frame_and_the_last(frames, seed, sigma):
    distance = torch.rand(frames, 3, 4, generator=torch.Generator().manual_seed(seed))
    offsets = [(s, v, u) for s in (-1, 0) for v in (-1, 0, 1) for u in (-1, 0, 1)]
    weights = np.exp([-(s * s + v * v + u * u) / (2 * sigma**2) for s, v, u in offsets])
    smooth, keep = refine_scene(GaussianThreshold(sigma=sigma), change_of(distance=distance, tau_short=0.5))
    for place, values in windows(distance.numpy(), (-1, 0)):
        assert smooth[place].item() == pytest.approx(float(np.dot(weights, values) / weights.sum()), abs=1e-6)
    assert torch.equal(keep, smooth > 0.5)


@given(seed=seeds)
def test_a_lower_threshold_never_keeps_less(seed):
    distance = torch.rand(3, 4, 5, generator=torch.Generator().manual_seed(seed))
    for refiner in (GaussianThreshold(), Threshold()):
        low, high = (
            refine_scene(refiner, change_of(distance=distance, tau_short=tau))[1] for tau in (0.4, 0.5)
        )
        assert bool((high <= low).all())


@given(keep=keep_masks())
def test_open_close_is_erosion_dilation_dilation_erosion(keep):
    refined = refine_scene(OpenClose(), change_of(keep))[1]
    for frame, expected in zip(refined.numpy(), keep.numpy()):
        for pick in (np.min, np.max, np.max, np.min):
            expected = morph(expected, 1, pick)
        assert np.array_equal(frame, expected)


@given(keep=keep_masks())
def test_dilation_reaches_two_places_and_the_frames_it_says(keep):
    grown = np.stack([morph(frame, 2, np.max) for frame in keep.numpy()])
    before, after = np.zeros_like(grown), np.zeros_like(grown)
    before[1:], after[:-1] = grown[:-1], grown[1:]
    for refiner, expected in (
        (Dilate(size=5), grown | before),
        (Dilate(size=5, look_ahead=True), grown | before | after),
        (Dilate(size=5, look_ahead=True, look_back=False), grown | after),
    ):
        assert np.array_equal(refine_scene(refiner, change_of(keep))[1].numpy(), expected)


@given(
    keep=keep_masks(rows=st.integers(1, 12), cols=st.integers(1, 12)),
    fraction=st.sampled_from([0.0, 0.2, 0.35, 0.5, 1.0]),
)
def test_min_keep_widens_ring_by_ring_until_the_fraction_is_reached(keep, fraction):
    refined = refine_scene(MinKeep(fraction=fraction), change_of(keep))[1].numpy()
    for frame, expected in zip(refined, keep.numpy()):
        while expected.any() and expected.mean() < fraction:
            expected = morph(expected, 1, np.max)
        assert np.array_equal(frame, expected)


def test_movers_are_kept_by_their_raw_distance_and_drifters_by_their_long_term_one():
    change = Change(
        distance=torch.zeros(1, 1, 4),
        raw=torch.tensor([[[0.0, 0.3, 0.31, 0.0]]]),
        long_term=torch.tensor([[[0.0, 0.6, 0.0, 0.61]]]),
        keep=torch.zeros(1, 1, 4, dtype=torch.bool),
        tau_short=0.15,
        tau_long=0.3,
    )
    assert KeepMovers()(change).keep.tolist() == [[[False, False, True, True]]]
    assert not bool(KeepMovers(factor=3.0)(change).keep.any())


@pytest.mark.parametrize("refiner", [OpenClose(), Dilate(), MinKeep(), KeepMovers()], ids=repr)
def test_refining_a_mask_before_there_is_one_says_what_to_do(refiner):
    with pytest.raises(ValueError, match="put 'gaussian-threshold' or 'threshold' ahead of it"):
        refiner(change_of(distance=torch.zeros(3, 2, 2)))


@pytest.mark.parametrize("refiner", [GaussianThreshold(), Threshold()], ids=repr)
def test_a_second_threshold_is_refused(refiner):
    with pytest.raises(ValueError, match="use one threshold"):
        refiner(change_of(keep=torch.zeros(3, 2, 2, dtype=torch.bool)))


def test_dilation_is_by_the_grid_unless_its_size_is_given() -> None:
    for side, size in ((16, 3), (30, 5)):
        keep = torch.zeros(1, side, side, dtype=torch.bool)
        keep[0, 8, 8] = True
        volume = torch.zeros(2, side, side)
        change = Change(
            distance=volume,
            raw=volume,
            long_term=volume,
            keep=keep.expand(2, -1, -1),
            tau_short=1.0,
            tau_long=1.0,
        )
        assert int(Dilate()(change).keep.sum()) == size**2
        assert int(Dilate(size=7)(change).keep.sum()) == 49


def test_an_even_dilation_is_refused() -> None:
    with pytest.raises(ValueError, match="must be odd; got 4"):
        Dilate(size=4)


@given(keep=keep_masks(), multiple=st.integers(1, 30), per=st.sampled_from(["block", "frame"]), seed=seeds)
def test_a_bucket_rounds_up_with_the_tokens_nearest_to_being_kept(keep, multiple, per, seed):
    raw = torch.rand(keep.shape, generator=torch.Generator().manual_seed(seed))
    refined = Bucket(multiple=multiple, per=per)(change_of(keep, raw)).keep
    assert bool((keep <= refined).all())
    groups = [(keep, refined, raw)] if per == "block" else list(zip(keep, refined, raw))
    for before, after, distances in groups:
        count, total = int(before.sum()), before.numel()
        assert int(after.sum()) == min(-(-count // multiple) * multiple, total)
        joined, left = distances[after & ~before], distances[~after]
        assert not joined.numel() or not left.numel() or joined.min() >= left.max()


def test_sizes_beyond_the_picture_are_all_of_it():
    one = torch.zeros(2, 4, 6, dtype=torch.bool)
    one[1, 0, 0] = True
    change = change_of(one, torch.rand(2, 4, 6))
    assert bool(Dilate(size=999)(change).keep.all())
    assert bool(Bucket(multiple=10**6)(change).keep.all())


@pytest.mark.parametrize("sigma", [1e-6, 1e6])
def test_a_gaussian_may_be_as_narrow_as_one_token_and_as_wide_as_a_box(sigma):
    distance = torch.rand(2, 3, 3)
    smooth = GaussianThreshold(sigma=sigma).smooth(distance)[0, 1, 1]
    assert float(smooth) == pytest.approx(float(distance[1, 1, 1] if sigma < 1 else distance.mean()))


def test_a_bucket_weighs_both_distances_by_their_thresholds():
    change = Change(
        distance=torch.zeros(1, 1, 3),
        raw=torch.tensor([[[0.0, 0.14, 0.0]]]),
        long_term=torch.tensor([[[0.0, 0.0, 0.29]]]),
        keep=torch.tensor([[[True, False, False]]]),
        tau_short=0.15,
        tau_long=0.3,
    )
    assert Bucket(multiple=2)(change).keep.tolist() == [[[True, False, True]]]


def test_buckets_count_whole_blocks_and_come_last():
    source = torch.randn(12, 6, 7, 8) * torch.linspace(0.02, 0.3, 42).reshape(6, 7, 1)
    options = {"tau_short": 0.15, "tau_long": 0.3, "block_frames": 3}
    for whole_first_frames in (1, None):
        keep = clip_mask(
            source, L1(), [Threshold(), Bucket(multiple=20)], whole_first_frames=whole_first_frames, **options
        )
        assert [int(block.sum()) % 20 for block in keep.split(3)][1:] == [0, 0, 0]
    with pytest.raises(ValueError, match="come last"):
        MaskStream(L1(), [Threshold(), Bucket(), Dilate()], **options)
