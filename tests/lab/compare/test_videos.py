"""The videos of a page."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch

from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoReader, write_synthetic_clip
from lipar_lab.compare.videos import mp4_of, page_size, read_source


@pytest.mark.parametrize(
    ("size", "height", "expected"),
    [
        ((256, 192), None, (256, 192)),
        ((255, 191), None, (256, 192)),
        ((256, 192), 96, (128, 96)),
        ((256, 192), 97, (130, 96)),
        ((832, 480), 1, (2, 2)),
    ],
)
def test_videos_of_a_page_have_even_sides_in_the_shape_of_the_clip(size, height, expected) -> None:
    assert page_size(*size, height) == expected


@pytest.mark.parametrize("odd", [(32, 24), (31, 23)])
def test_an_mp4_is_h264_in_420_with_one_frame_for_each_and_times_from_0(odd, tmp_path: Path) -> None:
    frames = torch.rand(5, 3, odd[1], odd[0])
    rate = Fraction(30000, 1001)
    (tmp_path / "a.mp4").write_bytes(mp4_of(frames, frame_rate=rate, size=page_size(*odd, None)))
    with av.open(tmp_path / "a.mp4") as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264" and stream.codec_context.pix_fmt == "yuv420p"
        assert (stream.width, stream.height) == (32, 24)
    with VideoReader(tmp_path / "a.mp4") as reader:
        assert [frame.time for frame in reader] == [index / rate for index in range(5)]


def test_the_source_is_read_at_the_size_of_the_model(tmp_path: Path) -> None:
    clip = write_synthetic_clip(tmp_path / "a.mp4", frames=9, width=96, height=96)
    source = read_source(ToyModel(autoencoder=ToyAutoencoder()), clip)
    assert source.pixels.shape == (9, 3, 64, 64) and source.file_size == (96, 96)
    assert source.frame_rate == 24 and 0 <= float(source.pixels.min()) < float(source.pixels.max()) <= 1
