"""Which frame of a source that is no video file is shown at a time."""

from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from lipar.video import VideoError
from lipar.video.sources.choose import open_source
from lipar.video.sources.moments import frame_at
from lipar.video.sources.reading import Reading


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(10):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize(("seconds", "index"), [("0", 0), ("0.09", 0), ("0.1", 1), ("0.55", 5), ("0.99", 9)])
def test_of_pictures_it_follows_from_their_rate(folder: Path, seconds: str, index: int) -> None:
    assert frame_at(open_source(folder, Reading(frame_rate=Fraction(10))), Fraction(seconds)) == index


def test_after_the_last_picture_there_is_none(folder: Path) -> None:
    with pytest.raises(VideoError, match="ends before 1 s; name a moment within the clip"):
        frame_at(open_source(folder, Reading(frame_rate=Fraction(10))), Fraction(1))
