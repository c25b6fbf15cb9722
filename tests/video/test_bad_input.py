"""Broken files: an error, or a warning and what could be saved."""

import random
import warnings
from fractions import Fraction

import av
import pytest

from lipar.video import VideoError, VideoReader, VideoWarning, probe
from lipar.video.testing import make_audio, make_video, moving_gradient


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


def test_sound_only_is_refused(tmp_path):
    with pytest.raises(VideoError, match="holds only sound"):
        probe(make_audio(tmp_path / "a.mp4"))


def test_an_mp4_without_its_index_is_refused(clip):
    data = clip.read_bytes()
    clip.write_bytes(data[: data.rfind(b"moov") - 100])
    with pytest.raises(VideoError, match="a part is missing"):
        probe(clip)


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


def test_a_huge_video_is_read_with_a_warning(tmp_path):
    grey = av.VideoFrame(7680, 4320, "gray")
    grey.planes[0].update(bytes(grey.planes[0].buffer_size))
    path = make_video(tmp_path / "a.mov", [grey], codec="png", pixel_format="gray", options={})
    with pytest.warns(VideoWarning, match=r"7680x4320: each frame takes 0\.4 GB"):
        info = probe(path)
    assert (info.width, info.height) == (7680, 4320)


def test_a_file_that_may_not_be_read_says_so(clip, monkeypatch):
    def refuse(*arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(av, "open", refuse)
    with pytest.raises(VideoError, match="permission denied"):
        probe(clip)
