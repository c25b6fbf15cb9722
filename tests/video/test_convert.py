"""Between a decoder's picture and an RGB tensor: depth, sampling, range and transparency."""

from fractions import Fraction

import av
import numpy as np
import pytest
import torch

from lipar.video import Colour, VideoReader, VideoWarning
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
