"""A preview is a picture of source, result and mask, of the blocks around its moment only."""

from pathlib import Path

import numpy as np
import pytest
import torch
from output_files import names
from PIL import Image

from lipar.config import build_config
from lipar.editing.preview import LEAD_BLOCKS, Window
from lipar.editing.run import edit_video
from lipar.events import EditOptions, EditReport
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, VideoReader, write_synthetic_clip
from lipar.video.encoding import Encoding
from lipar.video.moment import Moment
from lipar.video.shade import TINT
from lipar.video.sources.part import Part
from lipar.video.sources.reading import Reading
from lipar.video.still import GAP

FRAMES, BLOCK = 100, 12
SIZE = (64, 48)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_clip(
        tmp_path_factory.mktemp("clip") / "clip.mp4", frames=FRAMES, width=64, height=48
    )


def edit(source: Path | None, output: Path, preview: str | None = None, **options: object) -> EditReport:
    asked = EditOptions(
        prompt="night",
        source=source,
        output=output,
        resolution=SIZE,
        preview=None if preview is None else Moment.of(preview),
        **options,
    )
    model = ToyModel(autoencoder=ToyAutoencoder())
    return edit_video(model, build_config(settings=["prune.keep=0.5"]), asked, host=load_plugins())


def panels(path: Path) -> list[torch.Tensor]:
    """Source, result and mask."""
    with Image.open(path) as picture:
        pixels = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    assert pixels.shape == (3, 48, 3 * 64 + 2 * GAP)
    return [pixels[:, :, begin : begin + 64] for begin in range(0, pixels.shape[2], 64 + GAP)]


@pytest.mark.parametrize("frame", [0, 5, 11, 12, 23])
def test_near_the_begin_it_is_the_frame_of_the_whole_edit_bit_for_bit(
    clip: Path, tmp_path: Path, frame: int
) -> None:
    """Nothing is left out there, so that all noise and all context are the same."""
    edit(clip, tmp_path / "whole.mkv", encoding=Encoding.of("ffv1"))
    edit(clip, tmp_path / "a.png", f"{frame}f")
    source, result, mask = panels(tmp_path / "a.png")
    with VideoReader(tmp_path / "whole.mkv") as whole, VideoReader(clip) as reader:
        assert torch.equal(result, list(whole)[frame].rgb)
        assert torch.equal(source, list(reader)[frame].rgb)
    changed = (mask.int() - result.int()).abs().amax(0) > 0
    if frame < BLOCK:
        assert not changed.any(), "the first block is computed in full"
    else:
        assert 0.05 < changed.float().mean() < 0.95


def test_pruned_tokens_are_shaded_in_the_mask(clip: Path, tmp_path: Path) -> None:
    edit(clip, tmp_path / "a.png", "60f")
    _, result, mask = (panel.float() for panel in panels(tmp_path / "a.png"))
    shaded = (result - mask).abs().amax(0) > 0
    tint = torch.tensor(TINT)[:, None] * 255
    assert ((mask[:, shaded] - tint).abs() <= (result[:, shaded] - tint).abs() * 0.45 + 1).all()


def test_only_the_blocks_up_to_the_moment_and_a_short_lead_in_are_edited(clip: Path, tmp_path: Path) -> None:
    report = edit(clip, tmp_path / "a.png", "80f")
    assert report.blocks == LEAD_BLOCKS + 1
    assert edit(clip, tmp_path / "a.jpg", "3f").blocks == 1
    assert names(tmp_path) == ["a.jpg", "a.png"]


def test_a_time_is_the_frame_that_is_shown_then(clip: Path, tmp_path: Path) -> None:
    edit(clip, tmp_path / "time.png", "2s")
    edit(clip, tmp_path / "frame.png", "48f")
    assert (tmp_path / "time.png").read_bytes() == (tmp_path / "frame.png").read_bytes()


def test_a_moment_in_the_last_incomplete_block_can_be_seen(clip: Path, tmp_path: Path) -> None:
    edit(clip, tmp_path / "a.png", f"{FRAMES - 1}f")
    with VideoReader(clip) as reader:
        assert torch.equal(panels(tmp_path / "a.png")[0], list(reader)[-1].rgb)


@pytest.mark.parametrize(
    ("moment", "options", "error", "said"),
    [
        ("10s", {}, VideoError, "clip.mp4 ends before 10 s"),
        (f"{FRAMES + 1000}f", {}, VideoError, "begins after them"),
        (f"{FRAMES + 3}f", {}, VideoError, "the clip ended before the moment"),
        ("1s", {"reading": Reading(part=Part.of("1s-2s"))}, ValueError, "leave out the part of it"),
        ("1s", {"reading": Reading(live=True)}, ValueError, "a live one cannot be; name a file"),
    ],
)
def test_a_moment_that_is_not_in_the_clip_is_refused(
    clip: Path, tmp_path: Path, moment: str, options: dict, error: type[Exception], said: str
) -> None:
    with pytest.raises(error, match=said):
        edit(clip, tmp_path / "a.png", moment, **options)
    assert names(tmp_path) == []


def test_a_preview_is_a_picture_and_of_a_clip(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError, match=r"must end in one of \.png, \.jpg"):
        edit(clip, tmp_path / "a.mp4", "1s")
    with pytest.raises(ValueError, match="name the clip"):
        edit(None, tmp_path / "a.png", "1s")


@pytest.mark.parametrize("frame", range(0, 60, 7))
def test_the_window_ends_with_the_block_of_the_moment(frame: int) -> None:
    window = Window.around(frame, ToyModel(autoencoder=ToyAutoencoder()), ToyAutoencoder())
    assert window.begin + window.moment == frame
    assert window.count % BLOCK == 0 and window.count - BLOCK <= window.moment < window.count
    assert window.begin == max(0, frame - LEAD_BLOCKS * BLOCK)
