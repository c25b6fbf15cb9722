"""Pictures in a folder, read as a clip."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lipar.video import VideoError, VideoWarning
from lipar.video.sources.choose import open_source
from lipar.video.sources.reading import Reading
from lipar.video.testing import moving_gradient

CLIP = moving_gradient(11, 32, 24)


def save(path: Path, rgb: torch.Tensor, **options: object) -> None:
    Image.fromarray(np.ascontiguousarray(rgb.permute(1, 2, 0).numpy())).save(path, **options)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Numbers without zeros in front of them, so that the order of letters is another one."""
    for index, rgb in enumerate(CLIP):
        save(tmp_path / f"{index}.png", rgb)
    return tmp_path


@pytest.mark.parametrize("name", ["", "%d.png", "*.png"])
def test_pictures_are_frames_in_the_order_of_their_numbers_bit_for_bit(folder: Path, name: str) -> None:
    source = open_source(folder / name)
    assert (source.shown_size, source.count, source.frame_rate, source.sound) == (
        (32, 24),
        11,
        Fraction(25),
        None,
    )
    frames = list(source)
    assert all(torch.equal(frame.rgb, rgb) for frame, rgb in zip(frames, CLIP, strict=True))
    assert [frame.time for frame in frames] == [Fraction(index, 25) for index in range(11)]


def test_the_rate_of_pictures_is_the_users(folder: Path) -> None:
    frames = list(open_source(folder, Reading(frame_rate=Fraction(30000, 1001))))
    assert frames[10].time == Fraction(10 * 1001, 30000)


def test_pictures_of_another_size_are_scaled_to_the_first_with_a_warning(folder: Path) -> None:
    save(folder / "11.png", moving_gradient(1, 64, 48)[0])
    with pytest.warns(VideoWarning, match="changes its size from 32x24 to 64x48 at frame 11"):
        frames = list(open_source(folder))
    assert {tuple(frame.rgb.shape) for frame in frames} == {(3, 24, 32)}


def test_a_picture_that_cannot_be_read_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "4.png").write_bytes(b"no picture")
    source = open_source(folder)
    with pytest.raises(VideoError, match=r"4\.png is no picture that can be read"):
        list(source)


def test_scaled_pictures_come_with_their_originals_where_these_are_asked_for(folder: Path) -> None:
    plain, keeping = open_source(folder), open_source(folder)
    plain.size = keeping.size = (16, 12)
    keeping.keeps_originals = True
    for scaled, kept, rgb in zip(plain, keeping, CLIP, strict=True):
        assert scaled.original is None and torch.equal(scaled.rgb, kept.rgb)
        assert torch.equal(kept.shown, rgb)
