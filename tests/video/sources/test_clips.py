"""Which clips the inputs of a command are."""

import os
from pathlib import Path

import pytest

from lipar.video import VideoError
from lipar.video.sources.clips import several_clips


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in ("clips/b10.mp4", "clips/b9.mkv", "clips/notes.txt", "pictures/1.png", "a.mp4"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_bytes(b"x")
    return tmp_path


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ([], None),
        (["a.mp4"], None),
        (["missing.mp4"], None),
        (["pictures"], None),
        (["pictures/*.png"], None),
        (["pictures/%d.png"], None),
        (["-"], None),
        (["camera:0"], None),
        (["clips"], ["clips/b9.mkv", "clips/b10.mp4"]),
        (["clips/*.mp4"], ["clips/b10.mp4"]),
        (["a.mp4", "clips"], ["a.mp4", "clips/b9.mkv", "clips/b10.mp4"]),
    ],
)
def test_a_folder_or_a_pattern_of_clips_is_several_and_one_file_is_not(
    folder: Path, inputs: list[str], expected: list[str] | None
) -> None:
    found = several_clips([Path(name) for name in inputs])
    assert found == (None if expected is None else [Path(name) for name in expected])


@pytest.mark.parametrize(
    "other", ["-", "pipe", "camera:0", "pictures", "pictures/1.png", "missing.mp4", "*.avi"]
)
def test_what_cannot_be_one_of_several_is_refused(folder: Path, other: str) -> None:
    os.mkfifo("pipe")
    with pytest.raises(VideoError):
        several_clips([Path("a.mp4"), Path(other)])
