"""Which files a name stands for."""

from pathlib import Path

import pytest

from lipar.video import VideoError
from lipar.video.sources.names import is_pattern, matching, natural_order, pictures_of


def touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_bytes(b"x")


def test_numbers_in_names_are_ordered_as_numbers() -> None:
    names = ["f10.png", "f2.png", "F1.png", "f2a.png", "a.png", "10.png", "9.png"]
    found = [path.name for path in natural_order(map(Path, names))]
    assert found == ["9.png", "10.png", "a.png", "F1.png", "f2.png", "f2a.png", "f10.png"]


def test_a_number_in_a_pattern_stands_for_at_least_so_many_digits(tmp_path: Path) -> None:
    touch(tmp_path, "001.png", "002.png", "1000.png", "1.png", "001.png.txt", "x001.png")
    assert [path.name for path in matching(tmp_path / "%03d.png")] == ["001.png", "002.png", "1000.png"]
    assert [path.name for path in matching(tmp_path / "%d.png")] == [
        "001.png",
        "1.png",
        "002.png",
        "1000.png",
    ]
    assert [path.name for path in matching(tmp_path / "x*.png")] == ["x001.png"]
    with pytest.raises(VideoError, match="no file matches"):
        matching(tmp_path / "*.jpg")


def test_a_file_whose_name_looks_like_a_pattern_is_itself(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].mp4", "100%.mp4")
    assert not is_pattern(tmp_path / "a[1].mp4") and not is_pattern(tmp_path / "100%.mp4")
    assert is_pattern(tmp_path / "a[2].mp4")


def test_a_folder_is_of_pictures_or_of_clips_and_never_both(tmp_path: Path) -> None:
    pictures, clips, both, neither = (tmp_path / name for name in ("pictures", "clips", "both", "neither"))
    for folder in (pictures, clips, both, neither):
        folder.mkdir()
    touch(pictures, "2.png", "10.png", ".hidden.png", "notes.txt")
    touch(clips, "a.mp4")
    touch(both, "a.mp4", "1.png")
    assert [path.name for path in pictures_of(pictures) or ()] == ["2.png", "10.png"]
    assert pictures_of(clips) is None
    with pytest.raises(VideoError, match="1 pictures and 1 clips; name those that are meant"):
        pictures_of(both)
    with pytest.raises(VideoError, match="neither clips nor pictures"):
        pictures_of(neither)
