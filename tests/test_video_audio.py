"""Sound: the very packets of the source where the container can hold them, and always in time."""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from lipar.video import VideoReader, VideoWriter, probe
from lipar.video.testing import make_audio, make_video, moving_gradient


def copy(source, target):
    with (
        VideoReader(source) as reader,
        VideoWriter.like(target, reader.info, audio_from=source) as writer,
    ):
        for frame in reader:
            writer.write(frame.rgb, pts=frame.pts, duration=frame.duration)
    return target


def packets(path):
    """Give each packet of sound: its time in seconds and its bytes."""
    with av.open(str(path)) as container:
        return [
            (packet.pts * packet.time_base, bytes(packet))
            for packet in container.demux(audio=0)
            if packet.pts is not None
        ]


def onset(path):
    """Give the second at which the tone can be heard."""
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = frame.to_ndarray().astype(np.float64)
            samples = np.abs(
                samples[0] / (np.iinfo(frame.to_ndarray().dtype).max if "s" in frame.format.name else 1)
            )
            loud = np.flatnonzero(samples > 0.1)
            if len(loud):
                return float(frame.pts * frame.time_base) + loud[0] / frame.sample_rate
    return None


CLIP = moving_gradient(24, 32, 32)


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        ("aac", "in.mp4"),
        ("libmp3lame", "in.mp4"),
        ("ac3", "in.mp4"),
        ("libopus", "in.mkv"),
        ("flac", "in.mkv"),
        ("alac", "in.mov"),
        ("aac", "in.ts"),
    ],
)
def test_sound_that_mp4_can_hold_is_copied_packet_by_packet(tmp_path, codec, name):
    source = make_video(tmp_path / name, CLIP, audio=codec, options={})
    target = copy(source, tmp_path / "out.mp4")
    before, after = packets(source), packets(target)
    if name != "in.ts":  # its packets carry a header that mp4 keeps elsewhere
        assert [data for _, data in after] == [data for _, data in before]
    assert len(after) == len(before)
    with VideoReader(source) as a, VideoReader(target) as b:
        moved = next(b).time - next(a).time
    offsets = [new - old for (new, _), (old, _) in zip(after, before)]
    # a tick of the source may not be one of the target
    assert all(abs(offset - moved) <= Fraction(1, 900) for offset in offsets)


@pytest.mark.parametrize(
    ("codec", "name", "rate"),
    [
        ("vorbis", "in.mkv", 48000),
        ("pcm_s16le", "in.mov", 44100),
        ("pcm_s16le", "in.avi", 11025),
        ("mp2", "in.mkv", 48000),
    ],
)
def test_other_sound_becomes_aac_in_time(tmp_path, codec, name, rate):
    audio_start = Fraction(0) if name == "in.avi" else Fraction(1, 4)
    video = {"codec": "mpeg4"} if name == "in.avi" else {}
    source = make_video(
        tmp_path / name,
        CLIP,
        audio=codec,
        audio_rate=rate,
        audio_start=audio_start,
        options={},
        **video,
    )
    target = copy(source, tmp_path / "out.mp4")
    assert probe(target).frame_count == 24
    assert probe(target).audio_codecs == ("aac",)
    assert onset(target) == pytest.approx(onset(source), abs=0.005)


def test_sound_that_starts_late_stays_late(tmp_path):
    source = make_video(tmp_path / "in.mp4", CLIP, audio="aac", audio_start=Fraction(1, 3))
    target = copy(source, tmp_path / "out.mp4")
    assert onset(target) == pytest.approx(onset(source), abs=0.002)
    assert onset(target) == pytest.approx(1 / 3, abs=0.05)


def test_sound_longer_than_the_pictures_is_kept_to_its_end(tmp_path):
    source = make_video(tmp_path / "in.mp4", CLIP, audio="aac", seconds=3.0)
    target = copy(source, tmp_path / "out.mp4")
    assert packets(target) == packets(source)


def test_a_source_without_sound_gives_a_video_without(tmp_path):
    source = make_video(tmp_path / "in.mp4", CLIP)
    assert not probe(copy(source, tmp_path / "out.mp4")).has_audio


def test_sound_can_come_from_a_file_without_pictures(tmp_path):
    song = make_audio(tmp_path / "song.m4a")
    with VideoWriter(
        tmp_path / "out.mp4", width=32, height=32, time_base=Fraction(1, 24), audio_from=song
    ) as writer:
        for index, picture in enumerate(CLIP):
            writer.write(picture, pts=index, duration=1)
    assert [data for _, data in packets(tmp_path / "out.mp4")] == [data for _, data in packets(song)]


def test_a_broadcast_clock_moves_sound_and_pictures_together(tmp_path):
    source = make_video(
        tmp_path / "in.mkv",
        CLIP,
        pts=[5000 + 40 * i for i in range(24)],
        time_base=Fraction(1, 1000),
        audio="pcm_s16le",
        audio_start=Fraction(5) + Fraction(1, 2),
    )
    target = copy(source, tmp_path / "out.mp4")
    with VideoReader(target) as reader:
        assert next(reader).pts == 0
    assert onset(target) == pytest.approx(0.5, abs=0.005)


@pytest.mark.parametrize("name", ["out.mkv", "out.mov"])
def test_other_containers_hold_sound_too(tmp_path, name):
    source = make_video(tmp_path / "in.mp4", CLIP, audio="aac")
    target = copy(source, tmp_path / name)
    assert [data for _, data in packets(target)] == [data for _, data in packets(source)]


def test_damaged_sound_does_not_cost_the_pictures(tmp_path):
    source = make_video(tmp_path / "in.ts", CLIP, audio="aac", options={})
    data = bytearray(source.read_bytes())
    for place in range(len(data) // 2, len(data) * 3 // 4, 37):
        data[place] ^= 0x55
    source.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with VideoReader(source) as reader:
            decoded = len(list(reader))
        target = copy(source, tmp_path / "out.mp4")
        assert probe(target).frame_count == decoded


def test_nothing_is_left_behind_when_the_sound_cannot_be_read(tmp_path):
    (tmp_path / "song.mp4").write_text("la la la")
    with pytest.raises(ValueError, match="no video that can be read"):
        VideoWriter(
            tmp_path / "out.mp4",
            width=32,
            height=32,
            time_base=Fraction(1, 24),
            audio_from=tmp_path / "song.mp4",
        )
    assert [path.name for path in tmp_path.iterdir()] == ["song.mp4"]
