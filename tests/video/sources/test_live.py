"""Pipes that are read while they are written, and cameras."""

import os
import threading
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from lipar.video import VideoError, VideoReader, VideoWarning
from lipar.video.sources.choose import open_source
from lipar.video.sources.live import device_of
from lipar.video.sources.reading import Reading
from lipar.video.testing import make_video, moving_gradient

CLIP = moving_gradient(24, 32, 32)
LIVE = Reading(live=True)


class Sender:
    """Writes a file into a pipe, the second half when it is told to."""

    def __init__(self, pipe: Path, video: Path, *, first: float = 1.0) -> None:
        self._pipe, self._data, self._first = pipe, video.read_bytes(), first
        self.go_on = threading.Event()
        os.mkfifo(pipe)
        self.thread = threading.Thread(target=self._send, daemon=True)
        self.thread.start()

    def _send(self) -> None:
        cut = int(len(self._data) * self._first)
        try:
            with self._pipe.open("wb") as pipe:
                pipe.write(self._data[:cut])
                pipe.flush()
                self.go_on.wait(20)
                pipe.write(self._data[cut:])
        except BrokenPipeError:
            pass  # the reader may give up


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    return tmp_path / "pipe"


@pytest.mark.parametrize(
    ("suffix", "codec"), [("mkv", "libx264"), ("ts", "libx264"), ("y4m", "wrapped_avframe")]
)
def test_a_live_pipe_gives_the_frames_of_the_file_that_comes_through_it(
    tmp_path: Path, pipe: Path, suffix: str, codec: str
) -> None:
    video = make_video(tmp_path / f"in.{suffix}", CLIP, codec=codec)
    sender = Sender(pipe, video)
    sender.go_on.set()
    source = open_source(pipe, LIVE)
    with VideoReader(video) as expected:
        frames, wanted = list(source), list(expected)
    source.close()
    assert (source.live, source.count, source.sound) == (True, None, None)
    assert [frame.pts for frame in frames] == [frame.pts for frame in wanted]
    assert all(torch.equal(one.rgb, other.rgb) for one, other in zip(frames, wanted, strict=True))


def test_frames_come_before_the_end_was_sent_and_waiting_for_more_can_be_stopped(
    tmp_path: Path, pipe: Path
) -> None:
    options = {"g": "1", "tune": "zerolatency"}
    noise = [torch.randint(0, 256, (3, 64, 64), dtype=torch.uint8) for _ in range(40)]
    sender = Sender(pipe, make_video(tmp_path / "in.ts", noise, options=options), first=0.6)
    source = open_source(pipe, LIVE)
    early = [next(source) for _ in range(5)]
    assert not sender.go_on.is_set() and len(early) == 5
    threading.Timer(0.2, source.stop).start()
    rest = list(source)
    assert len(early) + len(rest) < 40 and sender.thread.is_alive()
    sender.go_on.set()
    source.close()


def test_sound_of_a_live_pipe_is_left_out_with_a_warning(tmp_path: Path, pipe: Path) -> None:
    Sender(pipe, make_video(tmp_path / "in.mkv", CLIP, audio="aac")).go_on.set()
    with pytest.warns(VideoWarning, match="the sound of pipe is left out, since it is read live"):
        open_source(pipe, LIVE).close()


def test_what_cannot_be_read_live_is_an_error_that_says_what_can(tmp_path: Path, pipe: Path) -> None:
    (tmp_path / "no.txt").write_bytes(b"no video " * 1000)
    Sender(pipe, tmp_path / "no.txt").go_on.set()
    with pytest.raises(VideoError, match=r"cannot be read live .*; send Matroska, MPEG-TS or YUV4MPEG"):
        open_source(pipe, LIVE)


def test_a_camera_is_a_live_source_with_the_times_of_its_device() -> None:
    """A device of ffmpeg that makes pictures stands for a camera, since none is here."""
    source = open_source(Path("camera:lavfi:testsrc=size=64x48:rate=10"))
    frames = [next(source) for _ in range(3)]
    source.stop()
    assert list(source) == []
    source.close()
    assert (source.live, source.shown_size, source.count) == (True, (64, 48), None)
    assert [frame.time for frame in frames] == [Fraction(index, 10) for index in range(3)]


def test_a_camera_that_is_not_there_is_an_error_with_usual_names() -> None:
    with pytest.raises(
        VideoError, match=r"cannot be read by v4l2 .*; is it connected, free, and may you use it"
    ):
        open_source(Path("camera:v4l2:/dev/video999"))
    with pytest.raises(VideoError, match="names no camera; write camera:DEVICE"):
        open_source(Path("camera:"))


def test_a_camera_belongs_to_the_system_unless_its_kind_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.platform", "darwin")
    assert device_of("camera:0") == ("avfoundation", "0")
    assert device_of("camera:x11grab::0") == ("x11grab", ":0")
    monkeypatch.setattr("sys.platform", "linux")
    assert device_of("camera:/dev/video0") == ("v4l2", "/dev/video0")
