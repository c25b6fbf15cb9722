"""The clip of our own making."""

import subprocess
import sys

import pytest
import torch

from lipar.video import VideoError, VideoReader, synthetic_clip, write_synthetic_clip


def test_the_same_seed_gives_the_same_clip():
    first, again, other = (list(synthetic_clip(3, 64, 48, seed)) for seed in (1, 1, 2))
    assert all(torch.equal(a.rgb, b.rgb) for a, b in zip(first, again))
    assert not torch.equal(first[0].rgb, other[0].rgb)


def test_most_of_it_stands_still_and_some_of_it_moves():
    first, *_, last = synthetic_clip(24, 208, 120, 0)
    change = (first.rgb.float() - last.rgb.float()).abs().amax(0)
    moved = float((change > 25).float().mean())
    assert 0.02 < moved < 0.35
    assert float(change.median()) < 6  # of 255: the sensor's noise only


def test_its_frames_can_be_of_any_size():
    for width, height in ((1, 1), (17, 33), (320, 16)):
        (frame,) = synthetic_clip(1, width, height)
        assert frame.rgb.shape == (3, height, width)
        assert frame.rgb.dtype == torch.uint8


def test_a_clip_needs_a_size():
    with pytest.raises(VideoError, match="0 frames of 64x48"):
        next(synthetic_clip(0, 64, 48))


def test_it_can_be_written_and_read(tmp_path):
    path = write_synthetic_clip(tmp_path / "a.mp4", frames=5, width=64, height=48, seed=3)
    with VideoReader(path) as reader:
        frames = list(reader)
    assert [frame.time * 24 for frame in frames] == [0, 1, 2, 3, 4]
    for frame, made in zip(frames, synthetic_clip(5, 64, 48, 3)):
        assert (frame.rgb.float() - made.rgb.float()).abs().mean() < 4


def test_the_package_and_its_clip_need_no_codecs():
    script = (
        "import sys; sys.modules['av'] = None\n"
        "from lipar.video import PixelFrame, VideoError, synthetic_clip\n"
        "next(synthetic_clip(1, 8, 8))\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
