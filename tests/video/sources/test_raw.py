"""Raw video from a pipe."""

import io
import os
import threading
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from lipar.video import VideoError, VideoWarning
from lipar.video.sources.choose import open_source
from lipar.video.sources.raw import picture_bytes
from lipar.video.sources.raw_format import RawFormat
from lipar.video.sources.reading import Reading
from lipar.video.testing import moving_gradient

CLIP = moving_gradient(4, 6, 5)
"""Sides that need padding in memory, which raw video does not have."""
BYTES = b"".join(rgb.permute(1, 2, 0).numpy().tobytes() for rgb in CLIP)


@pytest.fixture
def stdin(monkeypatch: pytest.MonkeyPatch):
    def put(data: bytes) -> None:
        buffer = io.BytesIO(data)
        monkeypatch.setattr(
            "sys.stdin", SimpleNamespace(buffer=buffer, isatty=lambda: False, fileno=buffer.fileno)
        )

    return put


def reading(form: str) -> Reading:
    return Reading(raw=RawFormat.of(form))


def test_bytes_of_rgb_are_frames_bit_for_bit_at_an_even_rate(stdin) -> None:
    stdin(BYTES)
    source = open_source(Path("-"), reading("6x5:rgb24@30"))
    frames = list(source)
    assert source.live and source.count is None
    assert all(torch.equal(frame.rgb, rgb) for frame, rgb in zip(frames, CLIP, strict=True))
    assert [frame.time for frame in frames] == [Fraction(index, 30) for index in range(4)]


def test_yuv_without_tags_has_limited_range(stdin) -> None:
    # H.273 section 8.3: 16 is black and 235 white
    stdin(bytes([16] * 16 + [128] * 8 + [235] * 16 + [128] * 8))
    black, white = open_source(Path("-"), reading("4x4"))
    assert black.rgb.unique().tolist() == [0] and white.rgb.unique().tolist() == [255]


def test_a_picture_that_is_cut_off_is_left_out_with_a_warning(stdin) -> None:
    stdin(BYTES[:-7])
    source = open_source(Path("-"), reading("6x5:rgb24"))
    with pytest.warns(
        VideoWarning, match="83 of 90 bytes came, which are left out; are size and pixel format"
    ):
        assert len(list(source)) == 3


def test_less_than_a_picture_is_an_error_with_both_numbers(stdin) -> None:
    stdin(BYTES[:50])
    with pytest.raises(
        VideoError, match=r"first picture of 6x5 rgb24 \(90 bytes\) was complete; 50 bytes came"
    ):
        open_source(Path("-"), reading("6x5:rgb24"))
    with pytest.raises(VideoError, match="no pixel format named rgb25; usual ones are"):
        open_source(Path("-"), reading("6x5:rgb25"))


@pytest.mark.parametrize(
    ("form", "expected"), [("6x5:rgb24", 90), ("4x4:yuv420p", 24), ("4x4:gray", 16), ("4x4:nv12", 24)]
)
def test_pictures_have_no_padding(form: str, expected: int) -> None:
    assert picture_bytes(RawFormat.of(form)) == expected


def test_a_source_that_waits_for_bytes_can_be_stopped(tmp_path: Path) -> None:
    """Ctrl-C during an edit does this from another thread."""
    os.mkfifo(tmp_path / "pipe")
    let_go = threading.Event()

    def write() -> None:
        with (tmp_path / "pipe").open("wb") as pipe:
            pipe.write(BYTES[: 2 * 90])
            pipe.flush()
            let_go.wait(20)

    writer = threading.Thread(target=write)
    writer.start()
    source = open_source(tmp_path / "pipe", reading("6x5:rgb24"))
    frames = [next(source), next(source)]
    threading.Timer(0.1, source.stop).start()
    frames += list(source)
    still_open = writer.is_alive()
    let_go.set()
    writer.join()
    source.close()
    assert len(frames) == 2 and still_open
