"""Between a decoder's picture and an RGB tensor: depth, sampling, range and transparency."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from av.video.reformatter import VideoReformatter

from lipar.video import BT709, Colour, VideoError, VideoReader, VideoWarning
from lipar.video.convert import frame_to_rgb, plane_view, rgb_to_frame, to_bytes
from lipar.video.testing import copy_video, make_video, moving_gradient

CLIP = moving_gradient(6, 64, 48)


@pytest.mark.parametrize(
    ("name", "codec", "pixel_format"),
    [
        ("a.mov", "qtrle", "argb"),
        ("a.mkv", "ffv1", "yuva444p"),
        ("a.mkv", "ffv1", "gbrap10le"),
        ("a.mov", "png", "rgba"),
    ],
)
def test_transparent_video_is_shown_on_black(tmp_path, name, codec, pixel_format):
    pixels = np.zeros((48, 64, 4), np.uint8)
    pixels[..., 0] = 200  # hidden red on the left, half of it seen on the right
    pixels[:, 32:, 3] = 128
    frames = [av.VideoFrame.from_ndarray(pixels, "rgba").reformat(format=pixel_format) for _ in range(3)]
    path = make_video(tmp_path / name, frames, codec=codec, pixel_format=pixel_format, options={})
    with pytest.warns(VideoWarning, match="transparent in places") as told, VideoReader(path) as reader:
        shown = [frame.unit() for frame in reader]
    assert len(told) == 1
    for rgb in shown:
        assert rgb[:, :, :30].max() < 0.01
        assert (rgb[:, :, 40] - torch.tensor([200 / 255 / 2, 0, 0])[:, None]).abs().max() < 0.015


def test_opaque_video_that_could_be_transparent_is_read_as_ever(tmp_path):
    frames = [
        av.VideoFrame.from_ndarray(p.permute(1, 2, 0).contiguous().numpy(), "rgb24").reformat(format="rgba")
        for p in CLIP
    ]
    path = make_video(tmp_path / "a.mov", frames, codec="png", pixel_format="rgba", options={})
    with VideoReader(path) as reader:
        assert all(torch.equal(frame.rgb, picture) for frame, picture in zip(reader, CLIP))


@pytest.mark.parametrize(
    "pixel_format", ["yuv420p", "yuv422p", "yuv444p", "yuv420p10le", "yuv444p12le", "bgr0"]
)
@pytest.mark.parametrize("full_range", [False, True])
def test_depth_sampling_and_range_do_not_change_the_picture(tmp_path, pixel_format, full_range):
    if pixel_format == "bgr0":
        colour = Colour(matrix="rgb", full_range=True)
    else:
        colour = Colour(matrix="bt601", full_range=full_range)
    flat = torch.stack([torch.full((48, 64), value, dtype=torch.uint8) for value in (180, 90, 40)])
    frame = av.VideoFrame.from_ndarray(flat.permute(1, 2, 0).contiguous().numpy(), "rgb24")
    stored = frame.reformat(format=pixel_format, dst_colorspace=5, dst_color_range=2 if full_range else 1)
    path = make_video(
        tmp_path / "a.mkv", [stored] * 3, codec="ffv1", pixel_format=pixel_format, colour=colour, options={}
    )
    with VideoReader(path) as reader:
        shown = [frame.unit() for frame in reader]
    assert all((rgb - flat / 255).abs().max() < 2 / 255 for rgb in shown)
    written = copy_video(path, tmp_path / "out.mp4")
    with VideoReader(written) as reader:
        assert all((frame.unit() - flat / 255).abs().max() < 4 / 255 for frame in reader)
        assert reader.info.duration == pytest.approx(Fraction(3, 24), abs=0.001)


@pytest.mark.parametrize("pixel_format", ["gbrp16le", "gray10le", "yuv444p12le", "yuv422p10le"])
def test_deep_formats_of_other_kinds_are_read(tmp_path, pixel_format):
    grey = torch.full((3, 16, 32), 128, dtype=torch.uint8)
    path = make_video(
        tmp_path / "in.mkv", [grey], codec="ffv1", pixel_format=pixel_format, options={"strict": "-2"}
    )
    with VideoReader(path) as reader:
        rgb = next(reader).rgb
    assert rgb.dtype == torch.float32
    assert rgb.sub(128 / 255).abs().max() < 1 / 255


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16])
def test_numbers_become_the_nearest_bytes_and_bytes_stay(dtype):
    values = torch.linspace(-0.5, 1.5, 3 * 16 * 24).reshape(1, 3, 16, 24).to(dtype)
    wanted = values.float().clamp(0, 1).mul(255).round().to(torch.uint8)
    assert torch.equal(to_bytes(values), wanted)
    assert torch.equal(to_bytes(wanted), wanted)


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_first_frame_that_is_not_finite_is_named(bad, dtype):
    frames = torch.rand(5, 3, 8, 8).to(dtype)
    frames[3:, 2, 7, 7] = bad
    with pytest.raises(VideoError, match="frame 13 holds NaN or infinity"):
        to_bytes(frames, first=10)
    assert to_bytes(frames[:3], first=10).shape == (3, 3, 8, 8)


def test_large_numbers_are_white_and_no_infinity():
    assert (to_bytes(torch.full((1, 3, 4, 4), 3e38)) == 255).all()


@pytest.mark.parametrize("size", [(160, 96), (64, 48), (50, 38), (31, 17)])
def test_a_picture_is_scaled_as_bicubic_interpolation_of_numbers_does(size):
    width, height = size
    rgb = F.interpolate(
        torch.rand(1, 3, 6, 8, generator=torch.Generator().manual_seed(0)), (48, 64), mode="bicubic"
    )
    rgb = rgb.clamp(0, 1)
    wanted = F.interpolate(rgb, (height, width), mode="bicubic", antialias=True)[0].clamp(0, 1)
    frame = rgb_to_frame(to_bytes(rgb)[0], BT709, size, "yuv444p", VideoReformatter())
    shown = frame_to_rgb(frame, BT709, size, VideoReformatter()).float() / 255
    error = (shown - wanted).square().mean()
    assert error < 10**-4.6  # 46 dB; 8-bit YUV alone leaves 50
    assert (shown.mean((1, 2)) - wanted.mean((1, 2))).abs().max() < 1 / 255


def test_writing_to_the_view_of_a_plane_changes_the_picture():
    frame = av.VideoFrame(30, 20, "yuv420p")
    for index, plane in enumerate(frame.planes):
        plane_view(plane)[...] = 40 * index + 30
    assert [int(plane_view(plane).mean()) for plane in frame.planes] == [30, 70, 110]
    assert plane_view(frame.planes[0]).shape == (20, 30)
    assert plane_view(frame.planes[1]).shape == (10, 15)
    deep = av.VideoFrame(30, 20, "gbrp16le")
    plane_view(deep.planes[2], 16)[...] = 1000
    assert (plane_view(deep.planes[2], 16) == 1000).all()
