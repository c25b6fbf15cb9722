"""Masks from files: which one is shown at which time, at which size."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from PIL import Image

from lipar.video import VideoError, VideoReader, VideoWarning, VideoWriter
from lipar.video.mask_reader import MaskReader, masked_frames

SIZE = (48, 32)
HALF = torch.arange(48).expand(32, -1) >= 24


def picture(path: Path, white: torch.Tensor) -> Path:
    Image.fromarray((white.numpy() * 255).astype("uint8")).save(path)
    return path


def video(path: Path, columns: list[int], rate: int, size: tuple[int, int] = SIZE) -> Path:
    """A frame for each number: white from that column of 48 on."""
    with VideoWriter(
        path, width=size[0], height=size[1], time_base=Fraction(1, rate), frame_rate=Fraction(rate)
    ) as writer:
        for index, column in enumerate(columns):
            white = torch.arange(size[0]) >= column * size[0] // 48
            writer.write(white.float().expand(3, size[1], -1), pts=index)
    return path


def column(mask: torch.Tensor) -> int:
    """The first white one; the lossy video may shift it by one."""
    return int((~mask).all(dim=0).sum())


def test_a_picture_is_valid_at_every_time_without_a_warning(tmp_path: Path) -> None:
    with MaskReader(picture(tmp_path / "m.png", HALF), SIZE) as masks:
        first, late = masks.at(Fraction(0)), masks.at(Fraction(1000))
    assert first is late and torch.equal(first.white, HALF)


def test_an_inverted_mask_is_the_rest(tmp_path: Path) -> None:
    with MaskReader(picture(tmp_path / "m.png", HALF), SIZE, invert=True) as masks:
        assert torch.equal(masks.at(Fraction(0)).white, ~HALF)


@pytest.mark.parametrize("factor", [2, 4])
def test_a_mask_of_another_size_is_scaled(tmp_path: Path, factor: int) -> None:
    large = HALF.repeat_interleave(factor, 0).repeat_interleave(factor, 1)
    with MaskReader(picture(tmp_path / "m.png", large), SIZE) as masks:
        assert abs(column(masks.at(Fraction(0)).white) - 24) <= 1


def test_transparent_places_stay(tmp_path: Path) -> None:
    rgba = torch.full((32, 48, 4), 255, dtype=torch.uint8)
    rgba[:, :24, 3] = 0
    Image.fromarray(rgba.numpy(), "RGBA").save(tmp_path / "m.png")
    with MaskReader(tmp_path / "m.png", SIZE) as masks:
        assert torch.equal(masks.at(Fraction(0)).white, HALF)


def test_a_mask_video_is_shown_by_its_own_times(tmp_path: Path) -> None:
    path = video(tmp_path / "m.mp4", [8, 16, 24, 32], rate=12)
    with MaskReader(path, SIZE) as masks:
        found = [column(masks.at(Fraction(index, 24)).white) for index in range(8)]
    assert [round(c / 8) for c in found] == [1, 1, 2, 2, 3, 3, 4, 4]


def test_a_faster_mask_video_leaves_out_what_is_shown_between_frames(tmp_path: Path) -> None:
    path = video(tmp_path / "m.mp4", [8, 16, 24, 32], rate=48)
    with MaskReader(path, SIZE) as masks:
        found = [column(masks.at(Fraction(index, 24)).white) for index in range(2)]
    assert [round(c / 8) for c in found] == [1, 3]


def test_a_mask_that_ends_early_keeps_its_last_picture_with_one_warning(tmp_path: Path) -> None:
    path = video(tmp_path / "m.mp4", [8, 16], rate=24)
    with MaskReader(path, SIZE) as masks:
        masks.at(Fraction(1, 24))
        with pytest.warns(VideoWarning, match=r"m.mp4 ends at 0.08 s, before the video") as told:
            late = [masks.at(Fraction(index, 24)) for index in (2, 3)]
    assert len(told) == 1 and late[0] is late[1] and round(column(late[0].white) / 8) == 2


def test_what_is_no_video_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.png").write_text("no picture")
    with pytest.raises(VideoError):
        MaskReader(tmp_path / "m.png", SIZE)


def test_frames_get_the_mask_of_their_time_since_the_first_frame(tmp_path: Path) -> None:
    mask = video(tmp_path / "m.mp4", [8, 16, 24], rate=24)
    clip = tmp_path / "in.mp4"
    with VideoWriter(clip, width=48, height=32, time_base=Fraction(1, 24)) as writer:
        for index in range(3):
            writer.write(torch.rand(3, 32, 48), pts=100 + index)
    with VideoReader(clip) as reader, MaskReader(mask, SIZE) as masks:
        found = [column(frame.may_change.white) for frame in masked_frames(reader, masks)]
    assert [round(c / 8) for c in found] == [1, 2, 3]


def test_a_scaled_frame_comes_with_its_original_where_that_is_asked_for(tmp_path: Path) -> None:
    clip = video(tmp_path / "in.mp4", [8, 16], rate=24)
    for keeps, size in ((True, (24, 16)), (True, SIZE), (False, (24, 16))):
        with VideoReader(clip, size=size) as reader, VideoReader(clip) as plain:
            reader.keeps_originals = keeps
            frame, whole = next(reader), next(plain)
        assert frame.rgb.shape[1:] == size[::-1]
        expected = whole.rgb if keeps else frame.rgb
        assert torch.equal(frame.shown, expected)
