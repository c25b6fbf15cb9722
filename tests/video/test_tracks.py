"""Sound and subtitles: the very packets of the source where the container can hold them, and always in time."""

import warnings
from fractions import Fraction

import av
import numpy as np
import pytest

from lipar.video import VideoReader, VideoWarning, VideoWriter, probe
from lipar.video.testing import SUBTITLES, make_audio, make_video, moving_gradient
from lipar.video.testing import copy_video as copy


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


@pytest.mark.parametrize("late", [0.9, 1.1, 1.5, 12.0])
@pytest.mark.parametrize("name", ["out.mp4", "out.mov", "out.mkv"])
@pytest.mark.parametrize("begin", [0, 100])
def test_pictures_that_start_long_after_the_sound_keep_all_of_it(tmp_path, late, name, begin):
    first = begin * 1000 + round(late * 1000)
    source = make_video(
        tmp_path / "in.mkv",
        CLIP,
        pts=[first + 40 * i for i in range(24)],
        time_base=Fraction(1, 1000),
        audio="aac",
        audio_start=Fraction(begin),
        seconds=late + 1,
    )
    target = copy(source, tmp_path / name)
    before, after = packets(source), packets(target)
    assert [data for _, data in after] == [data for _, data in before]
    with VideoReader(source) as a, VideoReader(target) as b:
        distances = [next(reader).time - heard for reader, heard in ((a, before[0][0]), (b, after[0][0]))]
    assert float(distances[1]) == pytest.approx(float(distances[0]), abs=0.0015)
    assert float(distances[1]) == pytest.approx(late, abs=0.03)


def test_sound_that_an_edit_list_hides_stays_hidden(tmp_path):
    # the pictures begin at 0, the sound a second before
    source = make_video(tmp_path / "in.mp4", CLIP, audio="aac", audio_start=Fraction(-1), seconds=2.0)
    target = copy(source, tmp_path / "out.mkv")
    with VideoReader(target) as reader:
        first = next(reader).time
    assert first < Fraction(1, 10)
    assert onset(target) == pytest.approx(float(first), abs=0.05)


def subtitles_of(path):
    """Give each line of text with the seconds at which it is shown, and the language."""
    with av.open(str(path)) as container:
        (stream,) = container.streams.subtitles
        shown = [p for p in container.demux(stream) if p.size and p.pts is not None]
        lines = [(float(p.pts * p.time_base), bytes(p).lstrip(b"\0\t\x0f").decode()) for p in shown]
        return [line for line in lines if line[1]], stream.language


@pytest.mark.parametrize(
    ("source", "codec", "target"),
    [("in.mkv", "subrip", "out.mkv"), ("in.mp4", "mov_text", "out.mp4"), ("in.mp4", "mov_text", "out.mov")],
)
def test_subtitles_that_the_container_can_hold_are_copied(tmp_path, source, codec, target):
    made = make_video(tmp_path / source, CLIP, audio="aac", subtitles=codec)
    copied = copy(made, tmp_path / target)
    lines, language = subtitles_of(copied)
    with VideoReader(copied) as reader:
        first = float(next(reader).time)
    assert [text for _, text in lines] == list(SUBTITLES)
    assert [time - first for time, _ in lines] == pytest.approx([0.25, 0.5], abs=0.002)
    assert language == "ger"
    assert len(packets(copied)) == len(packets(made))


def test_subtitles_move_with_pictures_and_sound(tmp_path):
    pts = [90_000 * 50 + 3750 * i for i in range(24)]
    made = make_video(tmp_path / "in.mkv", CLIP, pts=pts, time_base=Fraction(1, 90_000), subtitles="subrip")
    lines, _ = subtitles_of(copy(made, tmp_path / "out.mkv"))
    assert all(time < 1 for time, _ in lines)  # they came before the pictures began


@pytest.mark.parametrize(
    ("source", "codec", "target"), [("in.mkv", "subrip", "out.mp4"), ("in.mp4", "mov_text", "out.mkv")]
)
def test_subtitles_that_the_container_cannot_hold_are_named(tmp_path, source, codec, target):
    made = make_video(tmp_path / source, CLIP, subtitles=codec)
    with pytest.warns(VideoWarning, match=rf"also holds subtitles \({codec}, ger\); left out of {target}"):
        copied = copy(made, tmp_path / target)
    assert probe(copied).frame_count == 24


def test_a_cover_picture_and_a_second_video_are_named_and_not_taken_for_the_video(tmp_path):
    path = tmp_path / "in.mkv"
    with av.open(str(path), "w") as container:
        streams = [container.add_stream("mpeg4", rate=24) for _ in range(2)]
        container.add_attachment("notes.txt", "text/plain", b"hello")
        for stream in streams:
            stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        for stream in streams:
            for picture in CLIP:
                frame = av.VideoFrame.from_ndarray(picture.permute(1, 2, 0).contiguous().numpy(), "rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    told = r"also holds another video track \(mpeg4\), an attached file \(notes.txt\); left out of out.mp4"
    with pytest.warns(VideoWarning, match=told):
        copied = copy(path, tmp_path / "out.mp4")
    assert probe(copied).frame_count == 24


@pytest.mark.parametrize("layout", ["mono", "stereo", "5.1"])
@pytest.mark.parametrize(("codec", "name"), [("aac", "in.mp4"), ("pcm_s16le", "in.mkv")])
def test_every_channel_is_kept(tmp_path, layout, codec, name):
    source = make_video(tmp_path / name, CLIP, audio=codec, audio_layout=layout)
    target = copy(source, tmp_path / "out.mp4")
    for path in (source, target):
        with av.open(str(path)) as container:
            assert container.streams.audio[0].layout.nb_channels == {"mono": 1, "stereo": 2, "5.1": 6}[layout]


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
        ).open()
    assert [path.name for path in tmp_path.iterdir()] == ["song.mp4"]
