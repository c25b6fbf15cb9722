"""Video on the standard output."""

import io
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lipar.files.owner import Outputs
from lipar.video import BT709, VideoError, VideoReader
from lipar.video.encoding import Encoding
from lipar.video.sinks.choose import Written, open_sink
from lipar.video.sound import Sound
from lipar.video.testing import make_video, moving_gradient

CLIP = moving_gradient(12, 33, 24)


class Unseekable(io.RawIOBase):
    def __init__(self) -> None:
        self.data = bytearray()

    def write(self, data: bytes) -> int:
        self.data += data
        return len(data)


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> Unseekable:
    buffer = Unseekable()
    monkeypatch.setattr("lipar.video.sinks.stream.standard_output", lambda: buffer)
    return buffer


def write(raw: str | None = None, codec: str | None = None, sound: Sound | None = None) -> None:
    frames = Written(
        size=(33, 24), time_base=Fraction(1, 24), frame_rate=Fraction(24), colour=BT709, sound=sound
    )
    with open_sink(Path("-"), frames, encoding=Encoding.of(codec), outputs=Outputs(), raw=raw) as sink:
        for index, rgb in enumerate(CLIP):
            sink.write_picture(sink.picture(rgb), pts=index, duration=1)


def test_the_stream_is_a_matroska_with_sound_that_a_player_can_read_from_a_pipe(
    tmp_path: Path, stdout: Unseekable
) -> None:
    write(
        codec="ffv1",
        sound=Sound(make_video(tmp_path / "in.mp4", moving_gradient(12, 32, 24), audio="aac", seconds=0.5)),
    )
    (tmp_path / "got.mkv").write_bytes(stdout.data)
    with VideoReader(tmp_path / "got.mkv") as reader:
        frames = list(reader)
    assert reader.info.audio_codecs == ("aac",)
    assert all(torch.equal(frame.rgb, rgb) for frame, rgb in zip(frames, CLIP, strict=True))


def test_raw_rgb_is_the_bytes_of_the_pictures(stdout: Unseekable) -> None:
    write(raw="rgb24")
    assert bytes(stdout.data) == b"".join(rgb.permute(1, 2, 0).numpy().tobytes() for rgb in CLIP)


def test_raw_yuv_has_no_padding_at_odd_sizes(stdout: Unseekable) -> None:
    write(raw="yuv420p")
    assert len(stdout.data) == 12 * (33 * 24 + 2 * 17 * 12)


def test_an_unknown_pixel_format_and_a_terminal_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(VideoError, match="no pixel format named rgb25"):
        write(raw="rgb25")
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: True))
    for raw in (None, "rgb24"):
        with pytest.raises(VideoError, match="standard output is a terminal"):
            write(raw=raw)


@pytest.mark.parametrize("raw", [None, "rgb24"])
def test_the_end_of_the_reader_is_a_broken_pipe_and_not_an_error_of_the_video(
    monkeypatch: pytest.MonkeyPatch, raw: str | None
) -> None:
    class Gone(Unseekable):
        def write(self, data: bytes) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr("sys.stdout", SimpleNamespace(buffer=Gone(), isatty=lambda: False))
    with pytest.raises(BrokenPipeError):
        write(raw=raw)
