"""Pictures with the pruned tokens shaded."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from av.video.reformatter import VideoReformatter

from lipar.video import Colour, VideoWriter
from lipar.video.convert import frame_to_rgb, plane_view
from lipar.video.shade import OPACITY, TINT, Shade

KEEP = torch.tensor([[True, False, True], [False, False, True]])


def writer(folder: Path, colour: Colour, size: tuple[int, int]) -> VideoWriter:
    return VideoWriter(
        folder / "a.mp4", width=size[0], height=size[1], time_base=Fraction(1, 24), colour=colour
    )


@pytest.mark.parametrize("size", [(96, 64), (95, 63), (64, 38)])
@pytest.mark.parametrize("matrix", ["bt601", "bt709", "bt2020"])
def test_kept_tokens_stay_as_they_are_and_pruned_ones_are_blended_with_the_tint(
    tmp_path: Path, matrix: str, size: tuple[int, int]
) -> None:
    colour = Colour(matrix=matrix)
    written = writer(tmp_path, colour, size)
    flat = torch.tensor([0.8, 0.5, 0.3])
    picture = written.picture(flat[:, None, None].expand(3, 32, 48))
    before = [plane_view(plane).copy() for plane in picture.planes]
    shaded = Shade(written)(picture, KEEP)
    assert all((plane_view(plane) == old).all() for plane, old in zip(picture.planes, before))
    rgb = frame_to_rgb(shaded, colour, size, VideoReformatter()).float() / 255
    opacity = OPACITY / 256
    wanted = flat * (1 - opacity) + opacity * torch.tensor(TINT)
    kept = frame_to_rgb(picture, colour, size, VideoReformatter()).float() / 255
    for row in range(2):
        for column in range(3):
            # away from the borders, where the chroma of 4:2:0 belongs to both sides
            top, left = row * size[1] // 2 + 6, column * size[0] // 3 + 6
            inside = rgb[:, top : top + 6, left : left + 6]
            if KEEP[row, column]:
                assert torch.equal(inside, kept[:, top : top + 6, left : left + 6])
            else:
                assert (inside - wanted[:, None, None]).abs().max() < 3 / 255


def test_the_borders_of_tokens_are_sharp_also_where_the_picture_is_enlarged(tmp_path: Path) -> None:
    written = writer(tmp_path, Colour(), (96, 64))
    picture = written.picture(torch.full((3, 8, 12), 0.9))
    luma = plane_view(Shade(written)(picture, KEEP).planes[0])
    assert len(set(luma[:32].ravel().tolist())) == 2
    assert (luma[:32, 32:64] != luma[0, 0]).all()
    assert (luma[:32, :32] == luma[0, 0]).all() and (luma[:32, 64:] == luma[0, 0]).all()


def test_every_value_is_rounded_to_the_nearest(tmp_path: Path) -> None:
    written = writer(tmp_path, Colour(), (256, 2))
    picture = written.picture(torch.zeros(3, 2, 256))
    values = torch.arange(256, dtype=torch.uint8).expand(2, 256)
    plane_view(picture.planes[0])[...] = values.numpy()
    shade = Shade(written)
    tint = int(plane_view(written.picture(torch.tensor(TINT)[:, None, None].expand(3, 2, 2)).planes[0])[0, 0])
    shaded = plane_view(shade(picture, torch.tensor([[False]])).planes[0])
    wanted = (values.double() * (256 - OPACITY) + OPACITY * tint) / 256
    assert (torch.from_numpy(shaded.copy()).double() - wanted).abs().max() <= 0.5
    same = plane_view(shade(picture, torch.tensor([[True]])).planes[0])
    assert torch.equal(torch.from_numpy(same.copy()), values)
