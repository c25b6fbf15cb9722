"""A clip as numbered pictures."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from output_files import names

from lipar.files.owner import Outputs
from lipar.video import BT709, VideoError
from lipar.video.encoding import DEFAULT_ENCODING
from lipar.video.frame_sink import FrameSink
from lipar.video.sinks.choose import Written, open_sink
from lipar.video.sinks.targets import target_of
from lipar.video.sources.choose import open_source
from lipar.video.testing import moving_gradient

CLIP = moving_gradient(12, 33, 24)
FRAMES = Written(size=(33, 24), time_base=Fraction(1, 24), frame_rate=Fraction(24), colour=BT709, sound=None)


def sink(path: Path | str) -> FrameSink:
    return open_sink(target_of(path), FRAMES, encoding=DEFAULT_ENCODING, outputs=Outputs())


def write(target: FrameSink, clip: list[torch.Tensor] = CLIP) -> None:
    with target:
        for index, rgb in enumerate(clip):
            target.write_picture(target.picture(rgb), pts=index, duration=1)


@pytest.mark.parametrize(("name", "first"), [("frames/", "00001.png"), ("frames/a%d.webp", "a1.webp")])
def test_pictures_come_back_bit_for_bit(tmp_path: Path, name: str, first: str) -> None:
    write(sink(f"{tmp_path}/{name}"))
    assert names(tmp_path) == ["frames"]
    assert first in names(tmp_path / "frames") and len(names(tmp_path / "frames")) == 12
    frames = list(open_source(tmp_path / "frames"))
    assert all(torch.equal(frame.rgb, rgb) for frame, rgb in zip(frames, CLIP, strict=True))


def test_jpeg_pictures_are_close(tmp_path: Path) -> None:
    write(sink(tmp_path / "frames" / "%03d.jpg"))
    frames = list(open_source(tmp_path / "frames"))
    worst = max((frame.rgb.int() - rgb.int()).abs().max() for frame, rgb in zip(frames, CLIP, strict=True))
    assert worst <= 8


def test_no_picture_is_there_before_all_are_and_none_after_an_error(tmp_path: Path) -> None:
    def interrupted() -> None:
        with sink(f"{tmp_path}/frames/") as target:
            target.write_picture(target.picture(CLIP[0]), pts=0)
            assert not (tmp_path / "frames").exists()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert names(tmp_path) == []


def test_a_folder_with_other_files_gets_the_pictures_and_keeps_the_files(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    (tmp_path / "frames" / "notes.txt").write_text("mine")
    write(sink(tmp_path / "frames"))
    assert len(names(tmp_path / "frames")) == 13 and names(tmp_path) == ["frames"]
    with pytest.raises(VideoError, match=r"already has pictures of that name \(00001\.png\).*; remove them"):
        sink(tmp_path / "frames")


def test_pictures_that_appear_in_the_meantime_are_kept_and_so_are_the_new_ones(tmp_path: Path) -> None:
    first, second = sink(f"{tmp_path}/frames/"), sink(f"{tmp_path}/frames/")
    first.open()
    write(second)
    with pytest.raises(VideoError, match=r"appeared in .* the new ones are complete in") as error:
        write(first, CLIP[:2])
    kept = Path(str(error.value).rpartition(" ")[2])
    assert len(names(tmp_path / "frames")) == 12 and len(names(kept)) == 2


def test_frames_out_of_order_or_none_at_all_are_errors(tmp_path: Path) -> None:
    target = sink(f"{tmp_path}/frames/")
    target.open()
    target.write_picture(target.picture(CLIP[0]), pts=5)
    with pytest.raises(VideoError, match="frame 1 has pts 5, but must come after 5"):
        target.write_picture(target.picture(CLIP[1]), pts=5)
    target.abort()
    with pytest.raises(VideoError, match="no frame was written"):
        write(sink(f"{tmp_path}/frames/"), [])
    assert names(tmp_path) == []
