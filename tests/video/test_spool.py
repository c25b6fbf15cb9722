"""Pipes and the standard input: read once, and nothing is left behind."""

import contextlib
import os
import pty
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import pytest

from lipar.video import VideoError, VideoReader, VideoWarning, probe
from lipar.video.spool import seekable
from lipar.video.testing import copy_video, make_video, moving_gradient

CLIP = moving_gradient(12, 32, 32)


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """Give the folder that temporary files go to."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture
def video(tmp_path):
    return make_video(tmp_path / "in.mp4", CLIP, audio="aac", seconds=0.5)


@pytest.fixture
def pipe(tmp_path, video):
    """Give a pipe with a video in it, whose index is at the end."""
    path = tmp_path / "a pipe"
    os.mkfifo(path)

    def write():
        with contextlib.suppress(BrokenPipeError):  # the reader may give up
            path.write_bytes(video.read_bytes())

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    yield path
    writer.join(timeout=10)


def test_a_pipe_is_read_as_the_file_that_comes_through_it(pipe, video, temporary):
    with pytest.warns(VideoWarning, match=r"a pipe can be read only once, .* copied to a temporary file"):
        reader = VideoReader(pipe)
    with reader, VideoReader(video) as expected:
        assert reader.info == expected.info
        assert [frame.pts for frame in reader] == [frame.pts for frame in expected]
        assert reader.path.read_bytes() == video.read_bytes()
    assert list(temporary.iterdir()) == []


def test_a_pipe_gives_its_sound_too(pipe, video, temporary, tmp_path):
    with pytest.warns(VideoWarning, match="only once"):
        copied = copy_video(pipe, tmp_path / "piped.mp4")
    assert copied.read_bytes() == copy_video(video, tmp_path / "out.mp4").read_bytes()
    assert list(temporary.iterdir()) == []


def test_a_file_is_read_where_it_is(video, temporary):
    with seekable(video) as path:
        assert path == video
        assert list(temporary.iterdir()) == []


def test_nothing_stays_behind_when_what_comes_through_a_pipe_is_no_video(tmp_path, temporary):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    writer = threading.Thread(target=lambda: path.write_bytes(b""), daemon=True)
    writer.start()
    with (
        pytest.warns(VideoWarning, match="only once"),
        pytest.raises(VideoError, match=r"is empty \(0 bytes\)"),
    ):
        VideoReader(path)
    writer.join(timeout=10)
    assert list(temporary.iterdir()) == []


def test_a_full_disk_is_said(pipe, temporary, monkeypatch):
    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("lipar.video.spool._copy", full)
    with pytest.warns(VideoWarning), pytest.raises(VideoError, match=r"No space left .* set TMPDIR"):
        VideoReader(pipe)
    assert list(temporary.iterdir()) == []


@pytest.mark.parametrize("device", ["/dev/zero", "/dev/null"])
def test_a_device_is_refused(device):
    with pytest.raises(VideoError, match=f"{device} is a device, not a video"):
        probe(device)


READ = "import sys, warnings; warnings.simplefilter('ignore'); from lipar.video import *\n"


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
@pytest.mark.parametrize("how", ["pipe", "file"])
def test_the_standard_input_is_read(video, name, how):
    code = READ + f"r = VideoReader({name!r}); print(len(list(r)), r.info.audio_codecs)"
    with video.open("rb") as file:
        given = {"input": file.read()} if how == "pipe" else {"stdin": file}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, timeout=120, check=False, **given
        )
    assert done.stdout.decode().strip() == "12 ('aac',)", done.stderr.decode()


def test_a_terminal_is_no_video():
    ours, theirs = pty.openpty()
    try:
        code = READ + "VideoReader('-')"
        done = subprocess.run(
            [sys.executable, "-c", code], stdin=theirs, capture_output=True, timeout=120, check=False
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "the standard input is a terminal, not a video" in done.stderr.decode()


def test_sigterm_while_a_pipe_is_read_leaves_nothing(tmp_path, temporary):
    path = tmp_path / "pipe"
    os.mkfifo(path)
    environment = {**os.environ, "TMPDIR": str(temporary)}
    code = READ + f"VideoReader({str(path)!r})"
    process = subprocess.Popen([sys.executable, "-c", code], env=environment)
    with path.open("wb") as pipe:  # opens once the other side reads
        pipe.write(b"half a video")
        pipe.flush()
        process.terminate()
        assert process.wait(timeout=120) == 143
    assert list(Path(temporary).iterdir()) == []
