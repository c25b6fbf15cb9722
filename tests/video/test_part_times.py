"""Parts of video files: which frames they have, and that only these are decoded."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
import torch

from lipar.video import PixelFrame, VideoError, VideoReader, VideoWarning
from lipar.video.decoding import Decoder
from lipar.video.moment import Moment
from lipar.video.sources.moments import frame_at
from lipar.video.sources.part import Part
from lipar.video.testing import make_video, moving_gradient

FRAMES = 72
CLIP = moving_gradient(FRAMES, 32, 32)
X264 = {"g": "24", "bf": "3", "keyint_min": "24"}
FILES = [
    *(("mp4", "libx264", X264), ("mkv", "libx264", X264), ("ts", "libx264", X264), ("mov", "libx264", X264)),
    ("mp4", "libx264", {"g": "24", "bf": "3", "x264-params": "open-gop=1"}),
    ("mp4", "libx265", {"x265-params": "keyint=24:bframes=3:open-gop=1:log-level=none"}),
    *(
        ("avi", "libx264", {"g": "24", "bf": "0"}),
        ("avi", "mpeg4", {"g": "12"}),
        ("webm", "libvpx-vp9", {"g": "24"}),
    ),
    ("gif", "gif", {}),
]


@pytest.fixture(scope="module", params=FILES, ids=lambda one: f"{one[0]}-{one[1]}-{len(one[2])}")
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    suffix, codec, options = request.param
    path = tmp_path_factory.mktemp("part") / f"in.{suffix}"
    pixel_format = "rgb8" if codec == "gif" else "yuv420p"
    rate = Fraction(1, 25) if codec == "gif" else Fraction(1, 24)
    return make_video(path, CLIP, codec=codec, pixel_format=pixel_format, options=options, time_base=rate)


def read(path: Path, part: str | None = None) -> list[PixelFrame]:
    with VideoReader(path, part=None if part is None else Part.of(part)) as reader:
        return list(reader)


def is_before(frame: PixelFrame, moment: Moment, origin: Fraction) -> bool:
    if moment.frame is not None:
        return frame.index < moment.frame
    assert moment.seconds is not None
    return frame.time - origin < moment.seconds


def test_a_part_has_the_frames_of_the_whole_that_are_shown_in_it_bit_for_bit(video: Path) -> None:
    whole = read(video)
    origin = whole[0].time
    for text in ("1s-2s", "-1s", "2s-", "0.3s-0.9s", "12f-40f", "-7f", "47f-48f"):
        part = Part.of(text)
        wanted = [
            frame
            for frame in whole
            if not is_before(frame, part.begin, origin)
            and (part.end is None or is_before(frame, part.end, origin))
        ]
        found = read(video, text)
        assert [frame.time for frame in found] == [frame.time - wanted[0].time for frame in wanted], text
        assert [frame.duration for frame in found] == [frame.duration for frame in wanted], text
        assert all(torch.equal(one.rgb, other.rgb) for one, other in zip(found, wanted, strict=True)), text
        assert [frame.index for frame in found] == list(range(len(found))), text


def test_a_part_after_the_end_is_refused_before_anything_is_edited(video: Path) -> None:
    for text in ("60s-", "500f-", "60s-61s", "500f-600f"):
        with pytest.raises(VideoError, match=r"begins after|no frame in the part"):
            VideoReader(video, part=Part.of(text))


def test_only_the_pictures_from_the_key_frame_on_are_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_video(tmp_path / "in.mp4", moving_gradient(240, 32, 32), options={"g": "12", "bf": "0"})
    decoded: list[av.VideoFrame] = []
    real = Decoder.pts_of

    def counted(self: Decoder, picture: av.VideoFrame) -> int:
        decoded.append(picture)
        return real(self, picture)

    monkeypatch.setattr(Decoder, "pts_of", counted)
    assert len(read(path, "200f-210f")) == 10
    assert len(decoded) < 40


def test_a_part_that_ends_after_the_file_says_so_at_its_end(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", CLIP)
    for part in ("2s-9s", "48f-100f"):
        with pytest.warns(VideoWarning, match=f"ends before the part {part}; 24 frames of it were read"):
            assert len(read(path, part)) == 24
    assert len(read(path, "2s-3s")) == len(read(path, "48f-72f")) == 24  # without a warning


def test_the_number_of_frames_is_known_in_advance(tmp_path: Path) -> None:
    path = make_video(tmp_path / "in.mp4", CLIP)
    for part, count in (("1s-2s", 24), ("2s-", 24), ("12f-40f", 28), ("60f-90f", 12), ("2.5s-9s", 12)):
        with VideoReader(path, part=Part.of(part)) as reader:
            assert reader.count == count, part


def test_a_moment_is_the_frame_that_is_shown_then(video: Path) -> None:
    times = [frame.time for frame in read(video)]
    for seconds in map(Fraction, ("0", "0.99", "1", "2.8")):
        shown = max(n for n, time in enumerate(times) if time - times[0] <= seconds)
        with VideoReader(video) as reader:
            assert frame_at(reader, seconds) == shown


def test_a_moment_after_the_end_is_refused(video: Path) -> None:
    with (
        VideoReader(video) as reader,
        pytest.raises(VideoError, match="ends before 4 s; name a moment within"),
    ):
        frame_at(reader, Fraction(4))
