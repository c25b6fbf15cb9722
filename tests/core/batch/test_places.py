"""Where the results of several clips go."""

from pathlib import Path

import pytest

from lipar.batch.places import check_folder, named_results
from lipar.video import VideoError
from lipar.video.encoding import DEFAULT_ENCODING, Encoding


def clips(folder: Path, *paths: str) -> list[Path]:
    for path in paths:
        (folder / path).parent.mkdir(exist_ok=True)
        (folder / path).write_bytes(b"x")
    return [folder / path for path in paths]


@pytest.mark.parametrize(
    ("codec", "results"),
    [
        ("h264", ["a.mp4", "b.mkv", "c.mov", "d.mp4", "e.mp4", "f.mp4"]),
        ("av1", ["a.mp4", "b.mkv", "c.mp4", "d.webm", "e.mp4", "f.mp4"]),
        ("ffv1", ["a.mkv", "b.mkv", "c.mkv", "d.mkv", "e.mkv", "f.mkv"]),
    ],
)
def test_a_result_has_the_name_of_its_clip_and_an_ending_that_can_contain_the_codec(
    tmp_path: Path, codec: str, results: list[str]
) -> None:
    sources = clips(tmp_path, "a.MP4", "b.mkv", "c.mov", "d.webm", "e.avi", "f.gif")
    jobs = named_results(sources, tmp_path / "out", Encoding.of(codec))
    assert jobs == [(source, tmp_path / "out" / name) for source, name in zip(sources, results)]


@pytest.mark.parametrize("paths", [("x/a.mp4", "y/a.mp4"), ("a.mp4", "a.avi"), ("a.mp4", "A.mp4")])
def test_two_results_of_one_name_are_refused_with_both_clips(tmp_path: Path, paths: tuple[str, str]) -> None:
    with pytest.raises(VideoError, match=r"would both be written to .*; rename one of them") as error:
        named_results(clips(tmp_path, *paths), tmp_path / "out", DEFAULT_ENCODING)
    assert all(path in str(error.value) for path in paths)
    assert not (tmp_path / "out").exists()


def test_the_folder_of_the_clips_themselves_is_refused(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="is the input itself"):
        named_results(clips(tmp_path, "a.mp4"), tmp_path, DEFAULT_ENCODING)


@pytest.mark.parametrize("name", ["-", "out.mp4", "frames/%05d.png", "a file"])
def test_several_clips_need_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a file").write_bytes(b"x")
    with pytest.raises(VideoError, match="several clips are written into a folder"):
        check_folder(name)
    assert check_folder("v1.2/") == Path("v1.2") and check_folder("new") == Path("new")
    with pytest.raises(VideoError, match="does not exist; make it first"):
        check_folder("no/where")
