"""Where a file may be written: refused before the work, and without a trace."""

import errno
import os
from pathlib import Path

import pytest
from output_files import names

from lipar.files.owner import unfinished_path
from lipar.files.places import check_writable
from lipar.video import VideoError
from lipar.video.testing import make_video, moving_gradient


@pytest.mark.parametrize("name", ["a.avi", "a", "a.wmv", "a.gif"])
def test_an_output_of_another_kind_is_refused(tmp_path, name):
    with pytest.raises(VideoError, match=r"must end in one of \.mp4, \.mov, \.mkv"):
        check_writable(tmp_path / name)


def test_an_output_folder_must_exist(tmp_path):
    with pytest.raises(VideoError, match="does not exist; make it first"):
        check_writable(tmp_path / "nowhere" / "a.mp4")


def test_an_output_folder_must_be_a_folder(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(VideoError, match="is a file, not a folder"):
        check_writable(tmp_path / "file" / "a.mp4")


def test_an_output_must_not_be_a_folder(tmp_path):
    (tmp_path / "a.mp4").mkdir()
    with pytest.raises(VideoError, match="is a directory; name a file in it"):
        check_writable(tmp_path / "a.mp4")


def test_the_input_is_never_the_output(tmp_path):
    source = make_video(tmp_path / "a.mp4", moving_gradient(2, 32, 32))
    (tmp_path / "link.mp4").symlink_to(source)
    for output in (source, tmp_path / "link.mp4", tmp_path / "." / "a.mp4"):
        with pytest.raises(VideoError, match="is the input itself"):
            check_writable(output, source=source)


def test_a_folder_without_rights_is_refused_before_the_work(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("os.open", refuse)
    with pytest.raises(VideoError, match=r"cannot be written to .*choose another folder"):
        check_writable(tmp_path / "a.mp4")


def test_a_full_disk_is_refused_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    with pytest.raises(VideoError, match="is full; free some space"):
        check_writable(tmp_path / "a.mp4")


def test_checking_leaves_everything_as_it_is(tmp_path):
    (tmp_path / "a.mp4").write_text("old")
    assert check_writable(tmp_path / "a.mp4") == (tmp_path / "a.mp4").resolve()
    assert names(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "old"


def test_checking_removes_what_a_killed_run_left(tmp_path: Path) -> None:
    unfinished_path(tmp_path / "out.mp4").write_text("half")
    check_writable(tmp_path / "out.mp4")
    assert names(tmp_path) == []


def test_a_link_that_points_at_itself_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "a.mp4")
    with pytest.raises(VideoError, match="a link to itself"):
        check_writable(tmp_path / "a.mp4")


def test_the_input_by_another_name_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.mp4").write_text("film")
    os.link(tmp_path / "in.mp4", tmp_path / "hard.mp4")
    (tmp_path / "folder").symlink_to(tmp_path)
    for other in ("hard.mp4", "folder/in.mp4", "folder/hard.mp4"):
        with pytest.raises(VideoError, match="is the input itself"):
            check_writable(tmp_path / other, source=tmp_path / "in.mp4")
