"""From a file to its packets: what is no video is refused."""

import random

import av
import pytest

from lipar.video import VideoError, probe
from lipar.video.testing import (
    make_video,
    moving_gradient,
)


@pytest.fixture
def clip(tmp_path):
    return make_video(tmp_path / "clip.mp4", moving_gradient(40, 64, 48))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(VideoError, match=r"no such file: .*nowhere\.mp4"):
        probe(tmp_path / "nowhere.mp4")


def test_a_directory_is_refused(tmp_path):
    with pytest.raises(VideoError, match="is a directory; give a video file"):
        probe(tmp_path)


def test_an_empty_file_is_refused(tmp_path):
    (tmp_path / "a.mp4").touch()
    with pytest.raises(VideoError, match=r"is empty \(0 bytes\)"):
        probe(tmp_path / "a.mp4")


@pytest.mark.parametrize("name", ["a.mp4", "a.txt", "a"])
def test_text_is_no_video_whatever_its_name(tmp_path, name):
    (tmp_path / name).write_text("It was a bright cold day in April. " * 50)
    with pytest.raises(VideoError, match="give a video file such as"):
        probe(tmp_path / name)


def test_random_bytes_are_no_video(tmp_path):
    (tmp_path / "a.mp4").write_bytes(random.Random(0).randbytes(20_000))
    with pytest.raises(VideoError, match="no video that can be read"):
        probe(tmp_path / "a.mp4")


def test_an_mp4_without_its_index_is_refused(clip):
    data = clip.read_bytes()
    clip.write_bytes(data[: data.rfind(b"moov") - 100])
    with pytest.raises(VideoError, match="a part is missing"):
        probe(clip)


def test_a_file_that_may_not_be_read_says_so(clip, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(VideoError, match="permission denied"):
        probe(clip)
