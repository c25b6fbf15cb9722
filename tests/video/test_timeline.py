"""One clock for a whole file, where its own restarts, jumps, overflows, or says only when pictures are decoded."""

import warnings
from fractions import Fraction
from itertools import pairwise

import av
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.video import VideoReader, VideoWarning
from lipar.video.testing import copy_video, join, make_video, moving_gradient
from lipar.video.timeline import Timeline

CLIP = moving_gradient(24, 32, 32)
TICK = Fraction(1, 90_000)


@pytest.fixture(scope="module")
def streams(tmp_path_factory):
    """Give a stream of pictures and one of sound, for packets to belong to."""
    with av.open(str(tmp_path_factory.mktemp("streams") / "a.ts"), "w") as container:
        yield container.add_stream("mpeg2video", rate=25), container.add_stream("mp2", rate=48000)


def packet_of(stream, dts, duration, part=0):
    """Give a packet as a demuxer does, at `dts` in ticks; `opaque` says from where in the file it is."""
    packet = av.Packet(b"data")
    packet.stream, packet.time_base, packet.duration = stream, TICK, duration
    packet.pts = packet.dts = dts
    packet.opaque = (part, dts)
    return packet


def part_of(streams, index, start, *, pictures=50, sounds=90, sound_delay=0):
    """Two seconds of pictures and sound, mixed as in a file; `start` and `sound_delay` in ticks."""
    video = [packet_of(streams[0], start + 3600 * i, 3600, index) for i in range(pictures)]
    sound = [packet_of(streams[1], start + sound_delay + 1920 * i, 1920, index) for i in range(sounds)]
    # a picture is stored well before it is decoded, sound is not
    return sorted([*video, *sound], key=lambda packet: packet.dts - 30_000 * (packet.stream_index == 0))


@given(
    jumps=st.lists(
        st.one_of(st.integers(-(2**33), -150_000), st.integers(1_100_000, 2**33)), min_size=0, max_size=3
    ),
    delays=st.lists(st.integers(-45_000, 45_000), min_size=4, max_size=4),
)
def test_whatever_the_clocks_of_joined_parts_no_time_goes_back_and_sound_stays_with_the_pictures(
    streams, jumps, delays
):
    packets, start = [], 2**35
    for index, jump in enumerate([0, *jumps]):
        start += jump + 180_000 * (index > 0)
        packets += part_of(streams, index, start, sound_delay=delays[index])
    before = sorted(packet.opaque for packet in packets)
    after = list(Timeline(jumps_ahead=True).continuous(packets))
    assert sorted(packet.opaque for packet in after) == before
    for stream in (0, 1):
        times = [packet.dts for packet in after if packet.stream_index == stream]
        assert all(later > earlier for earlier, later in pairwise(times))
    for part in range(len(jumps) + 1):
        moved = {packet.dts - packet.opaque[1] for packet in after if packet.opaque[0] == part}
        assert len(moved) == 1  # pictures and sound by the same
    spread = max(packet.dts for packet in after) - min(packet.dts for packet in after)
    assert spread <= (len(jumps) + 1) * (180_000 + 2 * 45_000)


def test_one_stray_time_moves_one_packet_and_not_the_clock(streams):
    packets = part_of(streams, 0, 0)
    stray = [packet for packet in packets if packet.stream_index == 0][20]
    stray.dts = stray.pts = 2**32
    after = list(Timeline(jumps_ahead=True).continuous(packets))
    times = [packet.dts for packet in after if packet.stream_index == 0]
    assert times == [3600 * index for index in range(50)]


@pytest.mark.parametrize("jumps_ahead", [False, True])
def test_pictures_that_stand_still_while_the_sound_goes_on_are_no_jump(streams, jumps_ahead):
    packets = [
        packet
        for packet in part_of(streams, 0, 0, pictures=1000, sounds=1900)
        if packet.stream_index or not 90_000 < packet.dts < 90_000 * 35
    ]
    before = [packet.dts for packet in packets]
    assert [packet.dts for packet in Timeline(jumps_ahead=jumps_ahead).continuous(packets)] == before


def test_a_slide_show_is_no_jump_where_clocks_do_not_jump(streams):
    packets = [packet_of(streams[0], 90_000 * 60 * index, 3600) for index in range(5)]
    timeline = Timeline(jumps_ahead=False)
    assert [packet.dts for packet in timeline.continuous(packets)] == [90_000 * 60 * i for i in range(5)]
    assert timeline.restarts == 0


def times_of(path):
    with VideoReader(path) as reader:
        return [(frame.time, frame.duration * frame.time_base) for frame in reader]


def sound_of(path):
    """Give the seconds at which the sound begins and ends, and its packets."""
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux(audio=0) if packet.pts is not None]
        spans = [(p.pts * p.time_base, (p.pts + (p.duration or 0)) * p.time_base) for p in packets]
    return spans[0][0], max(end for _, end in spans), len(packets)


@pytest.mark.parametrize(
    ("suffix", "codec", "audio"),
    [("ts", "libx264", "aac"), ("mpg", "mpeg2video", "mp2"), ("ts", "mpeg2video", None)],
)
@pytest.mark.parametrize("target", ["out.mp4", "out.mkv"])
def test_recordings_joined_by_cat_are_shown_one_after_the_other(tmp_path, suffix, codec, audio, target):
    options = {"preset": "ultrafast", "bf": "2"} if codec == "libx264" else {"bf": "2"}
    part = make_video(tmp_path / f"a.{suffix}", CLIP, codec=codec, audio=audio, options=options)
    joined = join(tmp_path / f"joined.{suffix}", part, part)
    out = copy_video(joined, tmp_path / target)
    times = times_of(out)
    assert len(times) == 48
    assert all(Fraction(1, 25) < lasts < Fraction(1, 8) for _, lasts in times)
    assert times[-1][0] - times[0][0] == pytest.approx(47 / 24, abs=0.08)
    if audio:
        begin, end, count = sound_of(out)
        _, _, alone = sound_of(copy_video(part, tmp_path / f"part{target}"))
        assert abs(count - 2 * alone) <= 2  # what is encoded again begins only once
        assert end - begin == pytest.approx(2.03, abs=0.08)


def test_a_clock_that_jumps_ahead_in_a_transport_stream_is_closed_up_with_a_warning(tmp_path):
    parts = [
        make_video(
            tmp_path / f"{first}.ts",
            CLIP,
            pts=[first + 3750 * i for i in range(24)],
            time_base=TICK,
            audio="aac",
            audio_start=first * TICK,
            options={},
        )
        for first in (0, 90_000 * 4000)
    ]
    joined = join(tmp_path / "joined.ts", *parts)
    with pytest.warns(VideoWarning, match=r"clock that jumps ahead by 39\d\d\.\d+ s .* its 48 frames"):
        times = times_of(joined)
    assert len(times) == 48
    assert times[-1][0] - times[0][0] == pytest.approx(47 / 24, abs=0.08)


def test_a_transport_streams_clock_that_overflows_goes_on(tmp_path):
    first = 2**33 - 90_000 // 2  # half a second before the 33 bits are full
    source = make_video(
        tmp_path / "in.ts",
        CLIP,
        pts=[first + 3750 * i for i in range(24)],
        time_base=TICK,
        audio="aac",
        audio_start=first * TICK,
        options={},
    )
    out = copy_video(source, tmp_path / "out.mp4")
    times = times_of(out)
    assert [lasts for _, lasts in times] == [Fraction(1, 24)] * 24
    begin, end, _ = sound_of(out)
    assert end - begin == pytest.approx(1.02, abs=0.03)
    assert begin - times[0][0] == pytest.approx(0, abs=0.03)


def test_a_file_whose_clock_is_sound_gives_no_warning(tmp_path):
    for name in ("a.mp4", "a.mkv", "a.ts", "a.mov"):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            times = times_of(make_video(tmp_path / name, CLIP, audio="aac", options={"bf": "2"}))
        assert len(times) == 24
