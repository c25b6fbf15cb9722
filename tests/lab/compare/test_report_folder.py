"""The folder of a report."""

from pathlib import Path

import pytest

from lipar.files.owner import Outputs
from lipar.video import VideoError
from lipar_lab.compare.report_folder import ReportFolder, page_names


def test_a_single_clip_has_one_page_and_several_have_an_index(tmp_path: Path) -> None:
    single = ReportFolder(tmp_path / "one" / "deep", [Path("a.mp4")])
    assert [page.name for page in single.pages] == ["index.html"] and single.index is None
    several = ReportFolder(tmp_path / "two", [Path("a.mp4"), Path("b.mp4")])
    assert [page.name for page in several.pages] == ["a.html", "b.html"]
    assert several.index is not None and several.index.name == "index.html"
    assert several.record == several.runs / "rows.json"


def test_names_of_pages_are_unique_and_need_no_escaping() -> None:
    clips = ["a.mp4", "x/a.mp4", "index.mp4", '"><script>.mp4', "ü.mp4", f"{'long' * 60}.mp4"]
    names = page_names([Path(clip) for clip in clips])
    assert names[:5] == ["a.html", "2-a.html", "3-index.html", "script.html", "clip.html"]
    assert len(set(names)) == len(names) and all(len(name) < 100 for name in names)


def test_a_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(VideoError, match="file"):
        ReportFolder(tmp_path / "file", [Path("a.mp4")])


def test_two_runs_cannot_write_the_same_pages(tmp_path: Path) -> None:
    folder = ReportFolder(tmp_path, [Path("a.mp4")])
    with Outputs() as first, Outputs() as second:
        folder.claim(first)
        with pytest.raises(VideoError, match="another run"):
            folder.claim(second)
    assert not (tmp_path / "index.html").exists()
