"""Pictures that are missing, in any container, with and without sound: one warning with both numbers."""

import re
import warnings
from fractions import Fraction

import av
import pytest

from lipar.video import VideoReader, VideoWarning
from lipar.video.testing import cut, make_video, moving_gradient

CLIP = moving_gradient(120, 64, 48)


MILLISECOND = Fraction(1, 1000)
KINDS = {
    "mkv": ("libx264", "aac"),
    "webm": ("libvpx", "libopus"),
    "avi": ("mpeg4", "libmp3lame"),
    "flv": ("flv", "libmp3lame"),
    "mp4": ("libx264", "aac"),
    "mov": ("libx264", "aac"),
}


def read(path):
    """Give the number of frames and the one warning, None without."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with VideoReader(path) as reader:
            frames = len(list(reader))
    messages = [str(warning.message) for warning in caught if warning.category is VideoWarning]
    assert len(messages) <= 1
    return frames, messages[0] if messages else None


def clip(path, *, audio, seconds=5.0, **options):
    codec, sound = KINDS[path.suffix[1:]]
    quality = {"preset": "ultrafast", "g": "12"} if codec == "libx264" else {"g": "12"}
    movflags = {"container_options": {"movflags": "faststart"}} if path.suffix in (".mp4", ".mov") else {}
    return make_video(
        path,
        options.pop("pictures", CLIP),
        codec=codec,
        options=quality,
        audio=sound if audio else None,
        seconds=seconds,
        **movflags,
        **options,
    )


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("suffix", KINDS)
def test_a_whole_file_gives_every_frame_and_no_warning(tmp_path, suffix, audio):
    assert read(clip(tmp_path / f"a.{suffix}", audio=audio)) == (120, None)


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("suffix", KINDS)
def test_a_file_that_is_cut_off_says_how_many_frames_of_how_many_it_gave(tmp_path, suffix, audio):
    frames, message = read(cut(clip(tmp_path / f"a.{suffix}", audio=audio), 0.7))
    assert 20 < frames < 110
    told = re.search(r"ends early [^:]*: (\d+) of (?:about )?(\d+) frames", message)
    assert int(told[1]) == frames
    assert int(told[2]) == pytest.approx(120, abs=2)


@pytest.mark.parametrize("suffix", ["gif", "y4m", "ogv", "ts"])
def test_a_file_that_counts_nothing_is_noticed_by_how_it_ends(tmp_path, suffix):
    codec = {"gif": "gif", "y4m": "wrapped_avframe", "ogv": "libtheora", "ts": "mpeg2video"}[suffix]
    pixel_format = "rgb8" if suffix == "gif" else "yuv420p"
    if codec not in av.codecs_available:
        pytest.skip(f"this PyAV has no {codec}")
    path = make_video(tmp_path / f"a.{suffix}", CLIP, codec=codec, pixel_format=pixel_format, options={})
    assert read(path) == (120, None)
    frames, message = read(cut(path, 0.499))
    assert 20 < frames < 100
    assert f": {frames} frames" in message or f" of {frames} frames" in message


@pytest.mark.parametrize("audio", [False, True])
@pytest.mark.parametrize("suffix", ["mkv", "mp4", "webm"])
def test_a_gap_in_the_pictures_is_told_with_both_numbers(tmp_path, suffix, audio):
    kept = [index for index in range(120) if not 50 <= index < 70]
    path = clip(
        tmp_path / f"a.{suffix}",
        audio=audio,
        pictures=[CLIP[index] for index in kept],
        pts=[round(index * 1000 / 24) for index in kept],
        time_base=MILLISECOND,
    )
    frames, message = read(path)
    assert frames == 100
    assert re.search(r"has a gap: 100 of about 120 frames .* \(at 2\.0\d s for 0\.8\d s\)", message)


@pytest.mark.parametrize(
    "pts", [[0, 10, 11, 50, 51, 200], [40 * i + 17 * (i % 3) for i in range(40)], range(0, 40_000, 2000)]
)
def test_frames_that_are_not_evenly_spaced_are_no_gap(tmp_path, pts):
    path = make_video(tmp_path / "a.mkv", CLIP[: len(pts)], pts=list(pts), time_base=MILLISECOND)
    assert read(path) == (len(pts), None)


def test_a_gif_whose_pictures_last_as_long_as_their_author_wants_has_no_gap(tmp_path):
    pts = [*range(0, 200, 10), 500, 510]
    path = make_video(
        tmp_path / "a.gif",
        CLIP[: len(pts)],
        pts=pts,
        time_base=Fraction(1, 100),
        codec="gif",
        pixel_format="rgb8",
        options={},
    )
    assert read(path) == (len(pts), None)


def test_pictures_that_end_before_the_sound_are_told(tmp_path):
    path = clip(tmp_path / "a.flv", audio=True, pictures=CLIP[:60])
    frames, message = read(path)
    assert frames == 60
    assert re.search(r"fewer pictures than sound: 60 frames \(up to 2\.5\d s\) .* until 5\.\d\d s", message)


def test_more_sound_than_pictures_is_no_fault_where_the_file_says_how_long_each_is(tmp_path):
    assert read(clip(tmp_path / "a.mp4", audio=True, pictures=CLIP[:60])) == (60, None)


def test_a_broken_off_matroska_stream_without_any_number_is_used_as_it_is(tmp_path):
    path = make_video(tmp_path / "a.mkv", CLIP, container_options={"live": "1"}, audio="aac", seconds=5.0)
    assert read(path) == (120, None)


def test_frames_without_a_time_of_their_own_are_counted(tmp_path):
    source = make_video(tmp_path / "a.mp4", CLIP[:24], codec="mjpeg", pixel_format="yuvj420p", options={})
    wrong = tmp_path / "wrong.mkv"
    with av.open(str(source)) as container, av.open(str(wrong), "w") as copy:
        stream = copy.add_stream_from_template(container.streams.video[0])
        for index, packet in enumerate(container.demux(video=0)):
            if packet.size:
                packet.stream, packet.pts, packet.dts = stream, 512 * (index // 2), 512 * (index // 2)
                copy.mux(packet)
    frames, message = read(wrong)
    assert frames == 24
    assert "12 of 24 frames no time of their own" in message
