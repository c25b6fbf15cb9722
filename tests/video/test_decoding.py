"""From a file to decoded pictures: what is broken is left out, with a warning or an error."""

import random
import warnings
from fractions import Fraction

import av
import pytest

from lipar.video import VideoError, VideoReader, VideoWarning, probe
from lipar.video.testing import (
    make_audio,
    make_video,
    moving_gradient,
)


@pytest.fixture
def clip(tmp_path):
    return make_video(tmp_path / "clip.mp4", moving_gradient(40, 64, 48))


def with_header_first(path):
    """Write the same mp4 with its index at the front, as downloads have it; give the offset of its data."""
    target = path.with_name("download.mp4")
    with av.open(str(path)) as source, av.open(str(target), "w", options={"movflags": "faststart"}) as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                copy.mux(packet)
    return target, target.read_bytes().find(b"mdat")


def test_sound_only_is_refused(tmp_path):
    with pytest.raises(VideoError, match="holds only sound"):
        probe(make_audio(tmp_path / "a.mp4"))


def test_of_a_broken_off_download_what_is_there_is_used(clip):
    path, start = with_header_first(clip)
    data = path.read_bytes()
    path.write_bytes(data[: start + (len(data) - start) // 2])
    with (
        VideoReader(path) as reader,
        pytest.warns(VideoWarning, match=r"ends early .*: \d+ of 40 frames were decoded"),
    ):
        frames = list(reader)
    assert 5 < len(frames) < 35
    assert [frame.pts for frame in frames] == [512 * index for index in range(len(frames))]


def test_a_broken_off_matroska_file_is_noticed_too(tmp_path):
    path = make_video(
        tmp_path / "a.mkv",
        moving_gradient(60, 64, 48),
        time_base=Fraction(1, 1000),
        pts=[40 * i for i in range(60)],
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with VideoReader(path) as reader, pytest.warns(VideoWarning, match="ends early"):
        assert 5 < len(list(reader)) < 55


def test_damage_in_the_middle_is_stepped_over(clip):
    path, start = with_header_first(clip)
    data = bytearray(path.read_bytes())
    third = start + (len(data) - start) // 3
    data[third : third + 4000] = random.Random(0).randbytes(4000)
    path.write_bytes(data)
    with VideoReader(path) as reader, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        frames = list(reader)
    assert 20 < len(frames) < 40
    assert frames[-1].pts == 39 * 512
    assert any("damaged" in str(warning.message) for warning in caught)


def test_a_video_without_a_frame_is_refused(tmp_path):
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=24)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()
    with pytest.raises(VideoError, match=r"not one frame of it can be decoded|no video"):
        probe(path)


def test_a_video_none_of_whose_frames_decode_is_refused(clip):
    path, start = with_header_first(clip)
    data = bytearray(path.read_bytes())
    data[start + 4 :] = bytes(len(data) - start - 4)
    path.write_bytes(data)
    with pytest.raises(VideoError, match="not one frame of it can be decoded"):
        probe(path)
