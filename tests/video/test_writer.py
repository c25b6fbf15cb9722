"""Writing: every frame at the time it is given, in a file that is whole or not there."""

# a writer's block is what is tested, so it stands inside `pytest.raises`:
# ruff: noqa: PT012, SIM117

import errno
import subprocess
import sys
from fractions import Fraction

import av
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.video import VideoError, VideoReader, VideoWriter, probe
from lipar.video.encoding import Encoding
from lipar.video.testing import corners, moving_gradient

TICK = Fraction(1, 24)


def frames_of(path):
    with VideoReader(path) as reader:
        return list(reader)


def left_behind(folder):
    return sorted(path.name for path in folder.iterdir())


@given(
    gaps=st.lists(st.integers(1, 400), min_size=0, max_size=12),
    first=st.integers(0, 300),
    time_base=st.sampled_from(
        [Fraction(1, 600), Fraction(1, 1000), Fraction(1001, 30000), Fraction(1, 90000)]
    ),
    last=st.integers(1, 400),
)
@settings(max_examples=25, deadline=None)
@pytest.mark.filterwarnings("ignore:.* has (a gap|. gaps)")  # even times but for one may be drawn
def test_no_frame_is_dropped_repeated_or_moved(tmp_path_factory, gaps, first, time_base, last):
    first = first if first * time_base <= 1 else 0
    pts = [first]
    for gap in gaps:
        pts.append(pts[-1] + gap)
    folder = tmp_path_factory.mktemp("vfr")
    pictures = moving_gradient(len(pts), 32, 32)
    with VideoWriter(
        folder / "a.mp4", width=32, height=32, time_base=time_base, frame_rate=Fraction(24)
    ) as writer:
        for picture, tick in zip(pictures, pts):
            writer.write(picture, pts=tick, duration=last)
    read = frames_of(folder / "a.mp4")
    assert [frame.time for frame in read] == [tick * time_base for tick in pts]
    assert read[-1].duration * read[-1].time_base == last * time_base
    # and copying what was read gives it again
    with VideoReader(folder / "a.mp4") as reader, VideoWriter.like(folder / "b.mp4", reader.info) as writer:
        for frame in reader:
            writer.write(frame.rgb, pts=frame.pts, duration=frame.duration)
    assert [frame.time for frame in frames_of(folder / "b.mp4")] == [frame.time for frame in read]
    assert left_behind(folder) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("size", [(63, 47), (64, 47), (63, 48), (64, 48), (2, 2), (1, 1), (17, 1)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mov", "a.mkv"])
def test_odd_sizes_are_written_exactly(tmp_path, size, name):
    picture = corners(*size)
    with VideoWriter(tmp_path / name, width=size[0], height=size[1], time_base=TICK) as writer:
        writer.write(picture, pts=0)
        writer.write(picture, pts=1)
    first, _ = frames_of(tmp_path / name)
    assert tuple(first.rgb.shape) == (3, size[1], size[0])
    if min(size) > 16:
        assert (first.rgb.float() - picture.float()).abs().mean() < 4


def test_even_sizes_are_written_in_the_format_that_every_player_knows(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", width=64, height=48, time_base=TICK) as writer:
        writer.write(corners(64, 48), pts=0)
    info = probe(tmp_path / "a.mp4")
    assert (info.video_codec, info.pixel_format, info.bit_depth) == ("h264", "yuv420p", 8)


def test_frames_of_the_models_size_are_scaled_to_the_videos(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", width=128, height=64, time_base=TICK) as writer:
        writer.write(corners(64, 32), pts=0)
    (frame,) = frames_of(tmp_path / "a.mp4")
    assert (frame.rgb.float() - corners(128, 64).float()).abs().mean() < 6


def test_bytes_and_numbers_give_the_same_video(tmp_path):
    picture = moving_gradient(2, 64, 48)[1]
    for name, rgb in (("a.mp4", picture), ("b.mp4", picture / 255), ("c.mp4", (picture / 255).double())):
        with VideoWriter(tmp_path / name, width=64, height=48, time_base=TICK) as writer:
            writer.write(rgb, pts=0)
    a, b, c = (frames_of(tmp_path / name)[0].rgb for name in ("a.mp4", "b.mp4", "c.mp4"))
    assert torch.equal(a, b)
    assert torch.equal(a, c)


@pytest.mark.parametrize("first", [-50, 90_000 * 3600])
def test_a_broadcast_clock_is_set_to_zero(tmp_path, first):
    with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=Fraction(1, 90000)) as writer:
        for index, picture in enumerate(moving_gradient(4, 32, 32)):
            writer.write(picture, pts=first + 3000 * index, duration=3000)
    assert [frame.time * 90000 for frame in frames_of(tmp_path / "a.mp4")] == [0, 3000, 6000, 9000]


def test_an_error_in_the_middle_leaves_the_old_file(tmp_path):
    (tmp_path / "a.mp4").write_text("old")
    with pytest.raises(RuntimeError, match="model"):
        with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK) as writer:
            for index, picture in enumerate(moving_gradient(60, 32, 32)):
                writer.write(picture, pts=index)
            raise RuntimeError("the model broke")
    assert left_behind(tmp_path) == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_text() == "old"


@pytest.mark.parametrize("frames", [0, 1, 70])
def test_ctrl_c_leaves_no_file(tmp_path, frames):
    with pytest.raises(KeyboardInterrupt):
        with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK) as writer:
            for index, picture in enumerate(moving_gradient(frames, 32, 32)):
                writer.write(picture, pts=index)
            raise KeyboardInterrupt
    assert left_behind(tmp_path) == []


def test_ctrl_c_while_finishing_leaves_no_file(tmp_path, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    writer = VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK)
    writer.write(corners(32, 32), pts=0)
    monkeypatch.setattr(writer, "_mux", interrupt)
    with pytest.raises(KeyboardInterrupt):
        writer.close()
    assert left_behind(tmp_path) == []


def test_ctrl_c_between_making_the_file_and_owning_it_leaves_no_file(tmp_path, monkeypatch):
    opened = av.open

    def interrupted(*arguments, **options):
        opened(*arguments, **options)
        raise KeyboardInterrupt

    monkeypatch.setattr("lipar.video.writer.av.open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK):
            pass
    assert left_behind(tmp_path) == []


def test_a_writer_makes_its_file_when_it_is_entered_or_first_written_to(tmp_path):
    writer = VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK)
    assert left_behind(tmp_path) == []
    writer.write(corners(32, 32), pts=0)
    assert left_behind(tmp_path) == [".a.partial.mp4"]
    writer.close()
    assert left_behind(tmp_path) == ["a.mp4"]
    with pytest.raises(VideoError, match=r"a\.mp4 is closed"):
        writer.write(corners(32, 32), pts=1)


def test_a_second_writer_to_one_file_is_refused(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK) as writer:
        writer.write(corners(32, 32), pts=0)
        with pytest.raises(VideoError, match="another run is writing there at this moment"):
            VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK)
    assert left_behind(tmp_path) == ["a.mp4"]


def test_the_file_has_its_name_only_when_it_is_whole(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK) as writer:
        for index, picture in enumerate(moving_gradient(60, 32, 32)):
            writer.write(picture, pts=index)
        assert not (tmp_path / "a.mp4").exists()
        assert all(name.startswith(".") and ".partial." in name for name in left_behind(tmp_path))
    assert left_behind(tmp_path) == ["a.mp4"]


def test_a_writer_without_frames_leaves_no_file_and_says_so(tmp_path):
    with pytest.raises(VideoError, match="no frame was written"):
        with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK):
            pass
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (errno.ENOSPC, "no space left .* after 1 frame; free"),
        (errno.EIO, "failed after 1 frame "),
        (errno.EFBIG, "failed after 1 frame: files may not become this large here"),
    ],
)
def test_a_full_disk_is_reported_and_nothing_left(tmp_path, monkeypatch, code, says):
    def full(*arguments):
        raise OSError(code, "as the system says it")

    with pytest.raises(VideoError, match=says):
        with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK) as writer:
            writer.write(corners(32, 32), pts=0)
            monkeypatch.setattr(writer, "_mux", full)
            writer.write(corners(32, 32), pts=1)
    assert left_behind(tmp_path) == []


def test_a_disk_that_is_really_full_is_noticed(tmp_path):
    resource = pytest.importorskip("resource", reason="needs limits on the size of a file")
    script = """
import resource, signal, sys, torch
from fractions import Fraction
from lipar.video import VideoError, VideoWriter
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
try:
    with VideoWriter(sys.argv[1], width=128, height=128, time_base=Fraction(1, 24)) as writer:
        for index in range(70):
            writer.write(torch.randint(0, 256, (3, 128, 128), dtype=torch.uint8), pts=index)
except VideoError as error:
    sys.exit(f"VideoError: {error}")
"""
    assert resource.RLIMIT_FSIZE is not None
    run = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path / "a.mp4")], capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert "VideoError: writing to" in run.stderr
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("rgb", "says"),
    [
        (torch.full((3, 32, 32), float("nan")), "holds NaN or infinity"),
        (torch.zeros(1, 32, 32), r"must be RGB '3 h w', got \[1, 32, 32\]"),
        (torch.zeros(1, 3, 32, 32), "must be RGB '3 h w'"),
        (torch.zeros(3, 32, 32, dtype=torch.int64), r"must be uint8 .* got torch\.int64"),
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, rgb, says):
    with pytest.raises(VideoError, match=says):
        with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK) as writer:
            writer.write(rgb, pts=0)
    assert left_behind(tmp_path) == []


def test_time_must_go_on(tmp_path):
    with pytest.raises(VideoError, match="has pts 5, but must come after 5"):
        with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK) as writer:
            writer.write(corners(32, 32), pts=5)
            writer.write(corners(32, 32), pts=5)


@pytest.mark.parametrize(
    ("codec", "name"),
    [
        (codec, f"a.{suffix}")
        for codec in ("h264", "hevc", "av1")
        for suffix in ("mp4", "mov", "mkv")
        if (codec, suffix) != ("av1", "mov")
    ],
)
def test_every_codec_keeps_the_times_of_uneven_frames(tmp_path, codec, name):
    ticks, base = [0, 40, 100, 180, 200, 500, 620, 700, 780, 860], Fraction(1, 1000)
    encoding = Encoding.of(codec)
    with VideoWriter(tmp_path / name, width=64, height=48, time_base=base, encoding=encoding) as writer:
        for picture, tick in zip(moving_gradient(len(ticks), 64, 48), ticks):
            writer.write(picture, pts=tick, duration=70)
    read = frames_of(tmp_path / name)
    assert [frame.time * 1000 for frame in read] == ticks
    assert read[-1].duration * read[-1].time_base == Fraction(70, 1000)
    assert probe(tmp_path / name).video_codec == codec


def test_hevc_has_the_tag_that_apples_players_know(tmp_path):
    encoding = Encoding.of("hevc")
    with VideoWriter(tmp_path / "a.mp4", width=64, height=48, time_base=TICK, encoding=encoding) as writer:
        writer.write(corners(64, 48), pts=0)
    assert b"hvc1" in (tmp_path / "a.mp4").read_bytes()


def test_av1_in_mov_is_refused(tmp_path):
    with pytest.raises(VideoError, match=r"a\.mov cannot contain av1; name it \.mp4 or \.mkv"):
        VideoWriter(tmp_path / "a.mov", width=64, height=48, time_base=TICK, encoding=Encoding.of("av1"))
    assert left_behind(tmp_path) == []


@pytest.mark.parametrize(
    ("size", "says"),
    [((63, 47), "no odd sizes, such as 63x47"), ((512, 16), "sides of at least 32 pixels, got 512x16")],
)
def test_a_codec_that_does_not_take_the_size_is_an_error(tmp_path, size, says):
    with pytest.raises(VideoError, match=f"av1 .*{says}; take codec h264"):
        with VideoWriter(
            tmp_path / "a.mp4", width=size[0], height=size[1], time_base=TICK, encoding=Encoding.of("av1")
        ):
            pass
    assert left_behind(tmp_path) == []


def test_a_lower_number_and_a_slower_preset_are_what_the_encoder_gets(tmp_path):
    sizes = []
    for quality in ("veryfast:40", "veryfast:4", "ultrafast:4"):
        encoding = Encoding.of(quality=quality)
        with VideoWriter(
            tmp_path / "a.mp4", width=128, height=96, time_base=TICK, encoding=encoding
        ) as writer:
            for index, picture in enumerate(moving_gradient(12, 128, 96)):
                writer.write(picture, pts=index)
        sizes.append((tmp_path / "a.mp4").stat().st_size)
    assert sizes[0] < sizes[1] < sizes[2]


def test_a_picture_is_scaled_once_for_two_files(tmp_path):
    pictures = moving_gradient(3, 64, 48)
    with (
        VideoWriter(tmp_path / "a.mp4", width=128, height=96, time_base=TICK) as one,
        VideoWriter(tmp_path / "b.mp4", width=128, height=96, time_base=TICK) as other,
    ):
        for index, rgb in enumerate(pictures):
            picture = one.picture(rgb)
            assert (picture.width, picture.height) == (128, 96)
            one.write_picture(picture, pts=index)
            other.write_picture(picture, pts=index)
    assert len(frames_of(tmp_path / "a.mp4")) == len(frames_of(tmp_path / "b.mp4")) == 3


def test_a_link_stays_a_link_to_the_new_video(tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "a.mp4").symlink_to(tmp_path / "there" / "b.mp4")
    with VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=TICK) as writer:
        writer.write(corners(32, 32), pts=0)
    assert (tmp_path / "a.mp4").is_symlink()
    assert probe(tmp_path / "there" / "b.mp4").frame_count == 1


def test_the_level_fits_the_frame_rate_and_not_the_time_base(tmp_path):
    with VideoWriter(
        tmp_path / "a.mp4", width=64, height=48, time_base=Fraction(1, 90000), frame_rate=Fraction(30)
    ) as writer:
        for index, picture in enumerate(moving_gradient(3, 64, 48)):
            writer.write(picture, pts=3000 * index, duration=3000)
    with av.open(str(tmp_path / "a.mp4")) as container:
        extradata = container.streams.video[0].codec_context.extradata
    assert extradata is not None
    assert extradata[3] <= 31  # the level times ten: it would be 62 at 90000 frames per second


@pytest.mark.parametrize("frame_rate", [None, Fraction(1, 3600), Fraction(30000, 1001), Fraction(1_000_000)])
def test_any_average_rate_will_do(tmp_path, frame_rate):
    path, base = tmp_path / "a.mp4", Fraction(1, 90000)
    with VideoWriter(path, width=32, height=32, time_base=base, frame_rate=frame_rate) as writer:
        writer.write(corners(32, 32), pts=0)
        writer.write(corners(32, 32), pts=90000 * 3600, duration=5)
    assert [frame.time for frame in frames_of(path)] == [0, 3600]


def test_a_time_base_beyond_what_containers_count_is_refused(tmp_path):
    with pytest.raises(VideoError, match="time_base must be positive"):
        VideoWriter(tmp_path / "a.mp4", width=32, height=32, time_base=Fraction(1, 10**12))
    assert left_behind(tmp_path) == []
