"""Which frame of a source that is no video file is shown at a time."""

from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from lipar.video import VideoError, VideoReader, write_synthetic_clip
from lipar.video.sources.choose import open_source
from lipar.video.sources.moments import frame_at, time_of
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


@pytest.mark.parametrize("frame", [0, 1, 7])
def test_a_frame_is_shown_when_those_before_it_have_been(folder: Path, tmp_path: Path, frame: int) -> None:
    pictures = open_source(folder, Reading(frame_rate=Fraction(10)))
    assert time_of(pictures, frame) == Fraction(frame, 10)
    with VideoReader(write_synthetic_clip(tmp_path / "a.mp4", frames=9, width=32, height=32)) as reader:
        times = [one.time for one in reader]
        assert time_of(reader, frame) == times[frame] - times[0]
