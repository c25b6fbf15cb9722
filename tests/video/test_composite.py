"""The edit inside a mask, and the source outside."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch

from lipar.video import VideoError, VideoWriter
from lipar.video.composite import EDGE, check_blended, composite, with_edge
from lipar.video.convert import plane_view
from lipar.video.mask_picture import MaskPicture
from lipar.video.sinks.folder import PictureFolderSink


@pytest.fixture(params=[(48, 32), (47, 31)])
def writer(tmp_path: Path, request: pytest.FixtureRequest) -> VideoWriter:
    width, height = request.param
    return VideoWriter(tmp_path / "out.mp4", width=width, height=height, time_base=Fraction(1, 24))


def pictures(writer: VideoWriter):
    width, height = writer.size
    generator = torch.Generator().manual_seed(0)
    return [writer.picture(torch.rand(3, height, width, generator=generator)) for _ in range(2)]


def planes(picture):
    return [plane_view(plane).copy() for plane in picture.planes]


def half(writer: VideoWriter, feather: int = 0) -> MaskPicture:
    width, height = writer.size
    return MaskPicture(torch.arange(width).expand(height, -1) >= 21, feather)


@pytest.mark.parametrize("feather", [0, 4])
def test_black_pixels_are_those_of_the_source_in_every_plane(writer: VideoWriter, feather: int) -> None:
    source, edited = pictures(writer)
    for before, after in zip(planes(source), planes(composite(source, edited, half(writer, feather)))):
        stays = 21 * before.shape[1] // writer.size[0]
        assert np.array_equal(before[:, :stays], after[:, :stays])
        assert not np.array_equal(before[:, stays + 1 :], after[:, stays + 1 :])


@pytest.mark.parametrize(("white", "which"), [(True, 1), (False, 0)])
def test_a_mask_of_one_colour_gives_one_of_the_pictures(writer: VideoWriter, white: bool, which: int) -> None:
    width, height = writer.size
    both = pictures(writer)
    shown = composite(*both, MaskPicture(torch.full((height, width), white)))
    assert all(np.array_equal(*pair) for pair in zip(planes(shown), planes(both[which])))
    assert (shown.colorspace, shown.color_range) == (both[1].colorspace, both[1].color_range)


def test_the_border_is_drawn_on_its_white_side(writer: VideoWriter) -> None:
    source, _ = pictures(writer)
    before, after = planes(source)[0], planes(with_edge(source, half(writer)))[0]
    changed = (before != after).any(axis=0).nonzero()[0].tolist()
    assert set(changed) <= {21, 22} and bool((after[:, 21:23] == 235).all())


def test_on_pictures_of_red_green_and_blue_the_border_is_grey(tmp_path: Path) -> None:
    sink = PictureFolderSink(tmp_path / "%05d.png", (48, 32))
    picture = sink.picture(torch.rand(3, 32, 48, generator=torch.Generator().manual_seed(0)))
    drawn = with_edge(picture, MaskPicture(torch.arange(48).expand(32, -1) >= 21))
    assert all(bool((plane[:, 21:23] == EDGE).all()) for plane in planes(drawn))


@pytest.mark.parametrize("pixel_format", ["yuv422p", "yuv420p10le", "yuyv422", "gbrp10le"])
def test_formats_of_other_planes_are_refused(pixel_format: str) -> None:
    with pytest.raises(VideoError, match="take rgb24 or yuv420p"):
        check_blended(pixel_format)
