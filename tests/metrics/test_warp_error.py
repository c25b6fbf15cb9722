"""Warp error: what moves as it should counts nothing, what flickers does."""

import sys

import attrs
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.metrics.table import Clips, measure
from lipar.metrics.warp_error import motion_between, motion_of_clip, warp_error

pytest.importorskip("cv2", reason="optical flow needs OpenCV")

SIZE = 96


def canvas(seed=0, size=2 * SIZE):
    """A smooth random picture, with contrast everywhere for the flow to hold on to."""
    coarse = torch.rand(1, 3, size // 8, size // 8, generator=torch.Generator().manual_seed(seed))
    return F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)[0]


def moving(across, down, frames=4, seed=0):
    """A view that moves over the canvas by whole pixels."""
    whole = canvas(seed)
    views = []
    for index in range(frames):
        left, top = SIZE // 2 - across * index, SIZE // 2 - down * index
        views.append(whole[:, top : top + SIZE, left : left + SIZE])
    return torch.stack(views)


def noisy(video, sigma, seed=0):
    noise = torch.randn(video.shape, generator=torch.Generator().manual_seed(seed))
    return video + sigma * noise


speeds = st.integers(-4, 4)


@settings(max_examples=15)
@given(speeds, speeds)
def test_a_video_that_is_perfectly_shifted_has_almost_no_warp_error(across, down):
    video = moving(across, down)
    still = torch.stack([video[0]] * len(video))
    error = warp_error(video, video)
    assert error < 1e-4
    # the same frames along no motion: what moved counts
    unmoved = warp_error(video, still)
    assert unmoved > 20 * error or (across, down) == (0, 0)


@settings(max_examples=10)
@given(speeds, speeds, st.floats(0.01, 0.1), st.floats(1.2, 3))
def test_noise_raises_it_and_more_noise_raises_it_more(across, down, sigma, factor):
    video = moving(across, down)
    errors = [warp_error(noisy(video, s), video) for s in (0, sigma, factor * sigma)]
    assert errors[0] < errors[1] < errors[2]


@given(st.floats(0.01, 0.2))
@settings(max_examples=10)
def test_along_no_motion_it_is_the_mean_square_of_the_change(sigma):
    still = torch.stack([canvas()[:, :SIZE, :SIZE]] * 3)
    changed = noisy(still, sigma)
    expected = (changed[1:] - changed[:-1]).square().sum(1).mean()
    assert warp_error(changed, still) == pytest.approx(float(expected), rel=1e-4)


@settings(max_examples=10)
@given(speeds, st.floats(-0.2, 0.2))
def test_a_video_that_is_brighter_throughout_has_the_same(across, light):
    video = noisy(moving(across, 1), 0.05)
    assert warp_error(video + light, video) == pytest.approx(warp_error(video, video), rel=1e-3)


def test_a_flicker_of_brightness_counts_its_square_in_every_channel():
    video = moving(2, 0)
    flickering = video.clone()
    flickering[1::2] += 0.1
    assert warp_error(flickering, video) == pytest.approx(3 * 0.1**2, rel=0.05)


def test_flow_points_to_where_a_pixel_went():
    video = moving(3, -2)
    motion = motion_between(video[0], video[1])
    inner = motion.flow[20:-20, 20:-20].reshape(-1, 2)
    assert torch.from_numpy(inner).median(0).values.tolist() == pytest.approx([3, -2], abs=0.1)


def test_what_is_uncovered_or_leaves_the_picture_is_not_counted():
    video = moving(4, 0)
    assert not motion_between(video[0], video[1]).visible[:, -4:].any()
    background = canvas(1)[:, :SIZE, :SIZE]
    frames = []
    for left in (20, 28):
        frame = background.clone()
        frame[:, 30:60, left : left + 30] = canvas(2)[:, :30, :30]
        frames.append(frame)
    visible = motion_between(frames[0], frames[1]).visible
    assert visible[5:20].mean() > 0.99
    assert visible[35:55, 50:58].mean() < 0.5  # the square covers this in the next frame


def test_one_frame_is_refused():
    with pytest.raises(ValueError, match="needs two at least; got 1"):
        warp_error(canvas()[None], canvas()[None])


def test_without_opencv_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cv2", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'lipar\[measure\]'"):
        warp_error(moving(1, 0), moving(1, 0))


def test_motion_that_was_estimated_before_gives_the_same_error_and_must_be_whole() -> None:
    source = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    result = source.flip(0)
    motions = motion_of_clip(source)
    assert warp_error(result, motions) == warp_error(result, source)
    clips = Clips(result=result, source=source)
    known = attrs.evolve(clips, motion=motions)
    assert measure(known, ["warp-error"]) == measure(clips, ["warp-error"])
    with pytest.raises(ValueError, match="4 frames need the motion between 3 pairs, got 2"):
        warp_error(result, motions[:2])
