"""Parts of sources that cannot be sought in."""

from fractions import Fraction
from pathlib import Path

import pytest
from PIL import Image

from lipar.video import VideoError
from lipar.video.frame_source import FrameSource
from lipar.video.sources.choose import open_source
from lipar.video.sources.part import Part
from lipar.video.sources.reading import Reading


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for index in range(20):
        Image.new("RGB", (8, 8), (index, 0, 0)).save(tmp_path / f"{index}.png")
    return tmp_path


def cut(path: Path, part: str) -> FrameSource:
    return open_source(path, Reading(part=Part.of(part), frame_rate=Fraction(10) if path.is_dir() else None))


@pytest.mark.parametrize(
    ("part", "begin", "end"),
    [("0.5s-1s", 5, 10), ("3f-7f", 3, 7), ("-0.25s", 0, 3), ("15f-", 15, 20), ("1s-12f", 10, 12)],
)
def test_a_part_begins_at_0_and_its_length_is_known(folder: Path, part: str, begin: int, end: int) -> None:
    source = cut(folder, part)
    assert isinstance(source, FrameSource) and source.shown_size == (8, 8)
    source.size = (4, 4)
    frames = list(source)
    assert [int(frame.rgb[0, 0, 0]) for frame in frames] == list(range(begin, end))
    assert [(frame.pts, frame.index) for frame in frames] == [(n, n) for n in range(end - begin)]
    assert {tuple(frame.rgb.shape) for frame in frames} == {(3, 4, 4)}
    assert abs((source.count or 0) - len(frames)) <= 1


@pytest.mark.parametrize("part", ["20f-", "2s-", "30f-40f"])
def test_a_part_after_the_end_is_refused_at_once(folder: Path, part: str) -> None:
    with pytest.raises(VideoError, match=r"has 20 frames, and the part .* begins after them"):
        cut(folder, part)


def test_a_part_of_a_camera_ends_although_the_camera_does_not() -> None:
    source = cut(Path("camera:lavfi:testsrc=size=16x16:rate=10"), "5f-8f")
    frames = list(source)
    source.close()
    assert [frame.pts for frame in frames] == [0, 1, 2] and source.live


def test_a_live_source_that_ends_before_the_part_is_an_error() -> None:
    source = cut(Path("camera:lavfi:testsrc=size=16x16:rate=10:duration=1"), "5s-")
    with pytest.raises(VideoError, match="has no frame in the part 5s-"):
        next(source)
    source.close()


def test_the_frames_of_a_part_come_with_their_originals(folder: Path) -> None:
    source = cut(folder, "5f-8f")
    assert not source.keeps_originals
    source.size, source.keeps_originals = (4, 4), True
    frames = list(source)
    assert [int(frame.shown[0, 0, 0]) for frame in frames] == [5, 6, 7]
    assert {tuple(frame.shown.shape) for frame in frames} == {(3, 8, 8)}
