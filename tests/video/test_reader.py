"""Reading: every frame once, upright, at its own time."""

from fractions import Fraction

import av
import pytest
import torch
from video_warnings import warned

from lipar.video import VideoError, VideoReader, VideoWarning, probe
from lipar.video.testing import corners, join, make_audio, make_video, moving_gradient

RED, GREEN, BLUE, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 255], [255, 255, 255]


def four_corners(rgb: torch.Tensor) -> list[list[int]]:
    """Give the colours of the corners, row by row, as saturated as they can be."""
    places = [(4, 4), (4, -4), (-4, 4), (-4, -4)]
    return [[255 * (value > 127) for value in rgb[:, y, x].tolist()] for y, x in places]


@pytest.mark.parametrize(
    ("rotation", "size", "seen"),
    [
        (0, (64, 32), [RED, GREEN, BLUE, WHITE]),
        (90, (32, 64), [BLUE, RED, WHITE, GREEN]),
        (180, (64, 32), [WHITE, BLUE, GREEN, RED]),
        (270, (32, 64), [GREEN, WHITE, RED, BLUE]),
    ],
)
@pytest.mark.parametrize("scale", [1, 2])
def test_rotated_video_is_seen_upright(tmp_path, rotation, size, seen, scale):
    path = make_video(tmp_path / "in.mp4", [corners(64, 32)], rotation=rotation)
    width, height = size
    with VideoReader(path, size=(width * scale, height * scale)) as reader:
        assert (reader.info.width, reader.info.height) == size
        assert reader.info.rotation == rotation
        (frame,) = list(reader)
    assert tuple(frame.rgb.shape) == (3, height * scale, width * scale)
    assert four_corners(frame.rgb) == seen


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    path = make_video(tmp_path / "in.mp4", [corners(48, 32)], sample_aspect_ratio=Fraction(4, 3))
    with VideoReader(path) as reader:
        frame = next(reader)
        info = reader.info
    assert (info.width, info.height, info.coded_size) == (64, 32, (48, 32))
    assert tuple(frame.rgb.shape) == (3, 32, 64)


def test_stretching_comes_before_turning(tmp_path):
    path = make_video(tmp_path / "in.mp4", [corners(48, 32)], sample_aspect_ratio=Fraction(4, 3), rotation=90)
    with VideoReader(path) as reader:
        assert (reader.info.width, reader.info.height) == (32, 64)
        assert four_corners(next(reader).rgb) == [BLUE, RED, WHITE, GREEN]


def test_each_frame_keeps_its_own_time_and_lasts_until_the_next(tmp_path):
    pts = [0, 10, 11, 50, 51, 200]
    path = make_video(tmp_path / "in.mkv", moving_gradient(6, 64, 48), pts=pts, time_base=Fraction(1, 1000))
    with VideoReader(path) as reader:
        frames = list(reader)
    assert [frame.pts for frame in frames] == pts
    assert [frame.duration for frame in frames[:-1]] == [10, 1, 39, 1, 149]
    assert [frame.index for frame in frames] == list(range(6))
    assert {frame.time_base for frame in frames} == {Fraction(1, 1000)}


def test_frames_stored_out_of_order_come_in_the_order_they_are_shown(tmp_path):
    pictures = moving_gradient(12, 64, 48)
    path = make_video(tmp_path / "in.mp4", pictures, options={"crf": "4", "bf": "3", "b_strategy": "0"})
    with VideoReader(path) as reader:
        blues = [float(frame.rgb[2].float().mean()) for frame in reader]
    assert blues == sorted(blues)
    assert blues == pytest.approx([float(picture[2, 0, 0]) for picture in pictures], abs=3)


def test_taking_gives_fewer_at_the_end_and_then_none(tmp_path):
    path = make_video(tmp_path / "in.mp4", moving_gradient(5, 64, 48))
    with VideoReader(path) as reader:
        assert [frame.index for frame in reader.take(3)] == [0, 1, 2]
        assert [frame.index for frame in reader.take(3)] == [3, 4]
        assert reader.take(3) == []


def test_scaling_while_decoding_keeps_the_picture(tmp_path):
    path = make_video(tmp_path / "in.mp4", moving_gradient(2, 128, 96))
    small = torch.nn.functional.interpolate(
        moving_gradient(2, 128, 96)[1][None].float(), (36, 52), mode="bilinear", antialias=True
    )
    with VideoReader(path, size=(52, 36)) as reader:
        frame = list(reader)[1]
    assert (frame.rgb.float() - small[0]).abs().mean() < 2


def test_a_probe_says_what_a_file_is(tmp_path):
    path = make_video(tmp_path / "in.mp4", moving_gradient(12, 64, 48), audio="aac", seconds=0.5)
    info = probe(path)
    assert (info.width, info.height, info.frame_count, info.frame_rate) == (64, 48, 12, 24)
    assert (info.duration, info.video_codec, info.audio_codecs) == (Fraction(1, 2), "h264", ("aac",))
    assert info.has_audio
    assert not info.still


@pytest.mark.parametrize("size", [(63, 47), (1, 1), (64, 47), (63, 48)])
def test_odd_sizes_are_read(tmp_path, size):
    path = make_video(
        tmp_path / "in.mkv", moving_gradient(2, *size), codec="ffv1", pixel_format="yuv420p", options={}
    )
    with VideoReader(path) as reader:
        assert [tuple(frame.rgb.shape) for frame in reader] == [(3, size[1], size[0])] * 2


def test_a_video_of_one_frame_is_a_video(tmp_path):
    path = make_video(tmp_path / "in.mp4", moving_gradient(1, 64, 48))
    with VideoReader(path) as reader:
        (frame,) = list(reader)
    assert (frame.pts, frame.duration * frame.time_base) == (0, Fraction(1, 24))


def test_a_moving_gif_is_a_video(tmp_path):
    path = make_video(tmp_path / "in.gif", moving_gradient(4, 64, 48), codec="gif", pixel_format="rgb8")
    with VideoReader(path) as reader:
        assert len(list(reader)) == 4
        assert not reader.info.still


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"), [("a.png", "png", "rgb24"), ("a.jpg", "mjpeg", "yuvj420p")]
)
def test_a_picture_is_read_as_one_frame_with_a_warning(tmp_path, name, codec, pixel_format):
    picture = moving_gradient(1, 64, 48)
    path = make_video(tmp_path / name, picture, codec=codec, pixel_format=pixel_format, options={})
    with pytest.warns(VideoWarning, match="is a picture"), VideoReader(path) as reader:
        (frame,) = list(reader)
    assert reader.info.still
    assert (frame.rgb.float() - picture[0].float()).abs().mean() < 4


def test_a_name_with_a_colon_is_a_file_and_no_protocol(tmp_path):
    path = make_video(tmp_path / "plain.mp4", moving_gradient(1, 64, 48)).rename(tmp_path / "take:1 %d.mp4")
    assert probe(path).frame_count == 1


def test_a_song_with_a_sleeve_is_no_video(tmp_path):
    with pytest.raises(VideoError, match="only sound"):
        probe(make_audio(tmp_path / "song.m4a"))


def test_a_size_must_be_positive(tmp_path):
    with pytest.raises(VideoError, match="positive width and height, got 0x8"):
        VideoReader(tmp_path / "in.mp4", size=(0, 8))


def test_the_size_may_follow_from_what_the_file_is(tmp_path):
    path = make_video(tmp_path / "in.mp4", moving_gradient(2, 64, 48))
    with VideoReader(path) as reader:
        reader.size = (reader.info.width // 2, reader.info.height // 2)
        assert [tuple(frame.rgb.shape) for frame in reader] == [(3, 24, 32)] * 2


def test_a_video_that_changes_its_size_says_where(tmp_path):
    parts = [
        make_video(tmp_path / f"{size[0]}.ts", moving_gradient(6, *size), codec="mpeg2video", options={})
        for size in ((64, 48), (96, 48))
    ]
    message, *_ = warned(join(tmp_path / "a.ts", *parts))
    assert message.startswith("a.ts changes its size from 64x48 to 96x48 at frame ")


def test_a_huge_video_is_read_with_a_warning(tmp_path):
    grey = av.VideoFrame(7680, 4320, "gray")
    grey.planes[0].update(bytes(grey.planes[0].buffer_size))
    path = make_video(tmp_path / "a.mov", [grey], codec="png", pixel_format="gray", options={})
    with pytest.warns(VideoWarning, match=r"7680x4320: each frame takes 0\.4 GB"):
        info = probe(path)
    assert (info.width, info.height) == (7680, 4320)
