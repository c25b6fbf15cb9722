"""The files of an edit: frames as they leave the model, and what arrives in the files."""

from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import pytest
import torch

from lipar.editing.edit_output import EditOutput, Pictures
from lipar.editing.source import SourceFrames
from lipar.events import EditOptions
from lipar.files.owner import Outputs
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, VideoReader, VideoWriter, probe, synthetic_clip
from lipar.video.encoding import Encoding

FRAMES = torch.stack([frame.unit() for frame in synthetic_clip(4, 80, 48)])
KEEP = torch.ones(4, 3, 5, dtype=torch.bool)
TIMES = [(index, 1) for index in range(4)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "in.mp4"
    with VideoWriter(path, width=160, height=96, time_base=Fraction(1, 24)) as writer:
        for index, rgb in enumerate(FRAMES):
            writer.write(rgb, pts=index)
    return path


def written(options: EditOptions, frames: torch.Tensor, keep: torch.Tensor = KEEP) -> None:
    with Outputs() as outputs, ExitStack() as stack:
        found = SourceFrames(options, ToyModel(autoencoder=ToyAutoencoder()), stack)
        output = EditOutput(options, found, stack, outputs)
        output.write(Pictures.begin(frames[:2], keep[:2], TIMES[:2]))
        output.write(Pictures.begin(frames[2:], keep[2:], TIMES[2:]))
        output.close()
        outputs.publish()


def pixels(path: Path) -> torch.Tensor:
    with VideoReader(path) as reader:
        return torch.stack([frame.unit() for frame in reader])


@pytest.mark.parametrize(("keep_source_size", "size"), [(True, (160, 96)), (False, (80, 48))])
def test_frames_are_written_at_the_size_that_is_asked_for(
    source: Path, tmp_path: Path, keep_source_size: bool, size: tuple[int, int]
) -> None:
    options = EditOptions(
        prompt="x",
        output=tmp_path / "out.mp4",
        source=source,
        resolution=(80, 48),
        keep_source_size=keep_source_size,
        encoding=Encoding.of(quality=4),
    )
    written(options, FRAMES)
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, info.frame_count) == (*size, 4)
    if not keep_source_size:
        assert (pixels(tmp_path / "out.mp4") - FRAMES).square().mean() < 10**-3.6  # 36 dB


def test_a_frame_with_nan_is_an_error_that_names_it_and_leaves_no_file(source: Path, tmp_path: Path) -> None:
    frames = FRAMES.clone()
    frames[3, 1, 20, 30] = float("nan")
    options = EditOptions(prompt="x", output=tmp_path / "out.mp4", source=source, resolution=(80, 48))
    with pytest.raises(VideoError, match="frame 3 holds NaN or infinity"):
        written(options, frames)
    assert not (tmp_path / "out.mp4").exists()


def test_the_overlay_shades_what_was_pruned_in_the_same_pictures(source: Path, tmp_path: Path) -> None:
    keep = KEEP.clone()
    keep[2:, :, :2] = False
    out, overlay = tmp_path / "out.mp4", tmp_path / "ov.mp4"
    options = EditOptions(
        prompt="x",
        output=out,
        source=source,
        overlay=overlay,
        resolution=(80, 48),
        encoding=Encoding.of(quality="fast:6"),
    )
    written(options, FRAMES, keep)
    plain, shaded = pixels(out), pixels(overlay)
    assert (plain[:2] - shaded[:2]).abs().mean() < 2 / 255
    assert (plain[2:, ..., 70:] - shaded[2:, ..., 70:]).abs().mean() < 2 / 255
    assert (plain[2:, ..., :60] - shaded[2:, ..., :60]).mean() > 0.1


def test_both_files_have_the_codec_that_is_asked_for(source: Path, tmp_path: Path) -> None:
    paths = (tmp_path / "out.mkv", tmp_path / "ov.mkv")
    options = EditOptions(
        prompt="x",
        output=paths[0],
        overlay=paths[1],
        source=source,
        resolution=(80, 48),
        encoding=Encoding.of("hevc"),
    )
    written(options, FRAMES)
    assert [probe(path).video_codec for path in paths] == ["hevc", "hevc"]
