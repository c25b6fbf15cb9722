"""What the name of an output stands for, and whether it can be written."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lipar.video import VideoError
from lipar.video.sinks.targets import check_target, kind_of_target, target_of


def test_a_folder_stands_for_numbered_pictures_in_it(tmp_path: Path) -> None:
    assert target_of(tmp_path) == tmp_path / "%05d.png"
    assert target_of(f"{tmp_path}/new/") == tmp_path / "new" / "%05d.png"
    assert target_of(tmp_path / "out.mp4") == tmp_path / "out.mp4"
    assert target_of("-") == Path("-")


@pytest.mark.parametrize(
    ("name", "kind"),
    [("-", "stream"), ("a/%05d.png", "pictures"), ("a.gif", "gif"), ("a.webm", "file"), ("100%.mp4", "file")],
)
def test_the_name_chooses_the_kind(name: str, kind: str) -> None:
    assert kind_of_target(Path(name)) == kind


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("a/%05d.bmp", r"must end in one of \.png, \.jpg"),
        ("%d-%d.png", "must have one number in their name"),
        ("%d%s.png", "must have one number in their name"),
        ("no/where/%d.png", "does not exist; make it first"),
        ("file/%d.png", "is a file, not a folder"),
        ("out.avi", r"must end in one of \.mp4, \.mov, \.mkv, \.webm, \.gif"),
    ],
)
def test_what_cannot_be_written_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "file").write_bytes(b"x")
    with pytest.raises(VideoError, match=said):
        check_target(tmp_path / name)


def test_a_terminal_shows_no_video(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    with pytest.raises(VideoError, match="standard output is a terminal"):
        check_target(Path("-"))
