"""Both ways of writing: near each other in their pictures, and measured on the same frames."""

from fractions import Fraction

import pytest
import torch
from av.video.reformatter import VideoReformatter

from lipar.speedup import Ratio
from lipar.video import BT709, VideoWriter, synthetic_clip
from lipar.video.convert import frame_to_rgb
from lipar_lab.bench.writing import PictureBefore, interpolated, measure_writing

FRAMES = [frame.unit() for frame in synthetic_clip(3, 96, 64)]


@pytest.mark.parametrize("size", [(192, 128), (96, 64), (64, 48), (131, 77)])
def test_the_picture_of_before_is_near_that_of_today(tmp_path, size):
    writer = VideoWriter(tmp_path / "a.mp4", width=size[0], height=size[1], time_base=Fraction(1, 24))
    pictures = (PictureBefore()(writer, FRAMES[0]), writer.picture(FRAMES[0]))
    before, now = (
        frame_to_rgb(picture, BT709, size, VideoReformatter()).float() / 255 for picture in pictures
    )
    assert before.shape == now.shape == (3, size[1], size[0])
    assert (
        before - now
    ).square().mean() < 10**-4.2  # 42 dB on fine noise; clips of the world have 50 and more


def test_a_frame_of_the_size_stays_as_it_is_and_another_within_its_range():
    edges = FRAMES[0].round()
    assert interpolated(edges, (96, 64)) is edges
    large = interpolated(edges, (240, 160))
    assert large.shape == (3, 160, 240)
    assert large.min() >= 0 and large.max() <= 1


def test_time_size_and_quality_of_both_ways_are_measured():
    figures = measure_writing(FRAMES, (192, 128), repeats=2)
    assert (figures["frames"], figures["from"], figures["to"]) == (3, (96, 64), (192, 128))
    assert isinstance(figures["ratio"], Ratio) and figures["ratio"].pairs == 2
    names = ("before", "now", "h264 medium:18", "h264 veryfast:17", "hevc veryfast:18", "av1 8:20")
    assert tuple(figures["files"]) == names
    for name, file in figures["files"].items():
        assert figures["cpu_milliseconds"][name] > 0
        assert file["bytes"] > 1000
        assert 30 < file["worst_psnr"] <= file["psnr"] < 60
    assert figures["cpu_milliseconds"]["now, pictures"] > 0


def test_what_is_not_finite_is_noticed_before_as_well(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", width=96, height=64, time_base=Fraction(1, 24))
    with pytest.raises(AssertionError):
        PictureBefore()(writer, FRAMES[0] * torch.nan)
