"""Masks and prompts that change, with every kind of source and target, parts, previews and several clips."""

import io
import os
import threading
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from batch_toys import rows_of, run_rows, small_clips, states
from PIL import Image

from lipar.config import build_config
from lipar.editing.run import edit_video
from lipar.editing.side_by_side import TITLE_ROWS, check_side_by_side, edit_side_by_side
from lipar.events import EditOptions, EditReport, MaskChoice
from lipar.hookspecs import hookimpl
from lipar.plugin.host import load_plugins
from lipar.prompts import PromptSchedule
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, VideoWriter, write_synthetic_clip
from lipar.video.encoding import Encoding
from lipar.video.moment import Moment
from lipar.video.sinks.targets import target_of
from lipar.video.sources.choose import open_source
from lipar.video.sources.part import Part
from lipar.video.sources.raw_format import RawFormat
from lipar.video.sources.reading import ALL, Reading
from lipar.video.still import GAP
from lipar.video.testing import moving_gradient

WIDTH, HEIGHT, FRAMES = 64, 48, 30
LEFT = torch.arange(WIDTH).expand(HEIGHT, -1) < 24
LOSSLESS = Encoding.of("ffv1")
CLIP = moving_gradient(FRAMES, WIDTH, HEIGHT)


class Prompts:
    """Notes the prompt that took effect with each block."""

    def __init__(self) -> None:
        self.found: list[str | None] = []

    @hookimpl
    def lipar_block_written(self, block) -> None:
        self.found.append(block.new_prompt)


def edit(
    source: Path, output: Path | str, reading: Reading = ALL, *watchers: object, **options: object
) -> EditReport:
    """Edit at half the size of the source, so that the source is scaled for the model and not for the result."""
    given = {"resolution": (32, 24), "encoding": LOSSLESS, "prompt": "night"} | options
    host = load_plugins()
    with host.extended(*watchers):
        return edit_video(
            ToyModel(autoencoder=ToyAutoencoder()),
            build_config(),
            EditOptions(**given, source=source, output=target_of(output), reading=reading),
            host=host,
        )


def later(*texts: str) -> tuple[object, ...]:
    return PromptSchedule.parse(["0:night", *texts]).entries[1:]


def still_mask(folder: Path, white: torch.Tensor = LEFT) -> MaskChoice:
    Image.fromarray((white.numpy() * 255).astype("uint8")).save(folder / "mask.png")
    return MaskChoice(path=folder / "mask.png")


def video_of(path: Path, frames: list[torch.Tensor]) -> Path:
    size = {"width": frames[0].shape[2], "height": frames[0].shape[1]}
    with VideoWriter(path, **size, time_base=Fraction(1, 24), encoding=LOSSLESS) as writer:
        for index, rgb in enumerate(frames):
            writer.write(rgb, pts=index, duration=1)
    return path


def moving_mask(folder: Path, frames: int = FRAMES) -> MaskChoice:
    """White to the left of a border that moves on by a column with each frame."""
    whites = [torch.arange(WIDTH).expand(3, HEIGHT, -1) < 8 + index // 2 for index in range(frames)]
    return MaskChoice(path=video_of(folder / "mask.mkv", [white.float() for white in whites]))


def pixels(path: Path) -> torch.Tensor:
    source = open_source(path)
    try:
        return torch.stack([frame.rgb for frame in source])
    finally:
        source.close()


def in_folder(folder: Path) -> Path:
    (folder / "in").mkdir()
    for index, rgb in enumerate(CLIP):
        picture = np.ascontiguousarray(rgb.permute(1, 2, 0).numpy())
        Image.fromarray(picture).save(folder / "in" / f"{index}.png")
    return folder / "in"


def as_webp(folder: Path) -> Path:
    first, *others = (Image.fromarray(rgb.permute(1, 2, 0).contiguous().numpy()) for rgb in CLIP)
    first.save(folder / "in.webp", save_all=True, append_images=others, duration=40, lossless=True)
    return folder / "in.webp"


def as_raw(folder: Path) -> Path:
    (folder / "in.rgb").write_bytes(
        torch.stack(list(CLIP)).permute(0, 2, 3, 1).contiguous().numpy().tobytes()
    )
    return folder / "in.rgb"


def as_pipe(folder: Path) -> Path:
    data = video_of(folder / "in.mkv", [rgb / 255 for rgb in CLIP]).read_bytes()
    os.mkfifo(folder / "pipe")
    threading.Thread(target=(folder / "pipe").write_bytes, args=(data,), daemon=True).start()
    return folder / "pipe"


@pytest.mark.parametrize(
    ("made", "reading", "first"),
    [
        (in_folder, ALL, 0),
        (in_folder, Reading(part=Part.of("5f-25f")), 5),
        (as_webp, ALL, 0),
        (as_raw, Reading(raw=RawFormat.of("64x48:rgb24@24")), 0),
        (as_pipe, Reading(live=True), 0),
    ],
    ids=["folder", "part", "webp", "raw", "live"],
)
def test_outside_the_mask_every_kind_of_source_is_unchanged(
    tmp_path: Path, made: Callable[[Path], Path], reading: Reading, first: int
) -> None:
    edit(made(tmp_path), tmp_path / "out.mkv", reading, mask=still_mask(tmp_path))
    found = pixels(tmp_path / "out.mkv")
    source = torch.stack(list(CLIP))[first : first + len(found)]
    assert len(found) >= 20
    assert torch.equal(found[..., 24:], source[..., 24:])
    assert not torch.equal(found[..., :24], source[..., :24])


def test_pictures_are_a_target_and_a_video_their_overlay_with_the_border(tmp_path: Path) -> None:
    source = in_folder(tmp_path)
    edit(source, f"{tmp_path}/out/", mask=still_mask(tmp_path), overlay=tmp_path / "ov.mkv")
    found = pixels(tmp_path / "out")
    assert torch.equal(found[..., 24:], torch.stack(list(CLIP))[..., 24:])
    assert bool((pixels(tmp_path / "ov.mkv")[..., 22:24] == 235).all())


def test_the_overlay_of_another_pixel_format_has_the_source_outside_too(tmp_path: Path) -> None:
    source = in_folder(tmp_path)
    options = {"mask": still_mask(tmp_path), "encoding": Encoding.of("h264", 1), "dense": True}
    edit(source, f"{tmp_path}/out/", overlay=tmp_path / "ov.mp4", **options)
    shown, found = pixels(tmp_path / "ov.mp4").float(), pixels(tmp_path / "out").float()
    assert (shown - found)[..., 26:].abs().mean() < 4
    assert shown[..., 22:24].mean() > 200


@pytest.fixture
def stdout(monkeypatch: pytest.MonkeyPatch) -> io.BytesIO:
    buffer = io.BytesIO()
    monkeypatch.setattr("lipar.video.sinks.stream.standard_output", lambda: buffer)
    return buffer


def test_raw_pixels_go_to_the_standard_output(tmp_path: Path, stdout: io.BytesIO) -> None:
    edit(in_folder(tmp_path), "-", mask=still_mask(tmp_path), raw_output="rgb24")
    found = torch.frombuffer(bytearray(stdout.getvalue()), dtype=torch.uint8).view(FRAMES, HEIGHT, WIDTH, 3)
    assert torch.equal(found.permute(0, 3, 1, 2)[..., 24:], torch.stack(list(CLIP))[..., 24:])


@pytest.mark.parametrize("pixel_format", ["yuv422p", "yuv420p10le", "nv12"])
def test_pixel_formats_that_cannot_be_composited_are_refused_before_the_edit(
    tmp_path: Path, stdout: io.BytesIO, pixel_format: str
) -> None:
    with pytest.raises(VideoError, match=f"a mask cannot be applied to pixels of {pixel_format}; take rgb24"):
        edit(in_folder(tmp_path), "-", mask=still_mask(tmp_path), raw_output=pixel_format)
    assert stdout.getvalue() == b""


def test_moments_and_masks_count_from_the_first_frame_of_a_part(tmp_path: Path) -> None:
    source = video_of(tmp_path / "in.mkv", [rgb / 255 for rgb in CLIP])
    cut = Reading(part=Part.of("4f-"))
    report = edit(
        source, tmp_path / "out.mkv", cut, mask=moving_mask(tmp_path), later_prompts=later("12f:snow")
    )
    assert report.frames == 26 and report.prompts == ((12, "snow"),)
    found, expected = pixels(tmp_path / "out.mkv"), pixels(source)[4:]
    for index in range(26):
        border = 8 + index // 2
        assert torch.equal(found[index, ..., border:], expected[index, ..., border:])
        assert not torch.equal(found[index, ..., :border], expected[index, ..., :border])


def panels(path: Path) -> list[torch.Tensor]:
    with Image.open(path) as picture:
        shown = torch.from_numpy(np.array(picture)).permute(2, 0, 1)
    return [shown[:, :, begin : begin + WIDTH] for begin in range(0, shown.shape[2], WIDTH + GAP)]


@pytest.mark.parametrize("frame", [5, 13, 23])
def test_a_preview_is_the_frame_of_the_whole_edit_bit_for_bit(tmp_path: Path, frame: int) -> None:
    source = video_of(tmp_path / "in.mkv", [rgb / 255 for rgb in CLIP])
    options = {"mask": moving_mask(tmp_path), "later_prompts": later("12f:snow")}
    edit(source, tmp_path / "whole.mkv", **options)
    edit(source, tmp_path / "a.png", preview=Moment(frame=frame), **options)
    before, result, kept = panels(tmp_path / "a.png")
    assert torch.equal(before, pixels(source)[frame])
    assert torch.equal(result, pixels(tmp_path / "whole.mkv")[frame])
    border = 8 + frame // 2
    assert bool((kept[..., border - 2 : border] == 235).all())


def test_a_late_preview_has_the_prompts_and_the_mask_of_its_moment(tmp_path: Path) -> None:
    clip = write_synthetic_clip(tmp_path / "clip.mp4", frames=100, width=WIDTH, height=HEIGHT)
    prompts = Prompts()
    schedule = later("60f:snow", "90f:fog")
    mask = moving_mask(tmp_path, frames=100)
    edit(
        clip,
        tmp_path / "a.png",
        ALL,
        prompts,
        preview=Moment(frame=80),
        mask=mask,
        later_prompts=schedule,
    )
    # the blocks begin at frames 56, 68 and 80
    assert prompts.found == ["night", "snow", None]
    before, result, _ = panels(tmp_path / "a.png")
    border = 8 + 80 // 2
    assert torch.equal(before[..., border:], result[..., border:])
    assert not torch.equal(before[..., border - 2 : border], result[..., border - 2 : border])


def test_three_side_by_side_have_the_same_source_outside_the_mask(tmp_path: Path) -> None:
    source = video_of(tmp_path / "in.mkv", [rgb / 255 for rgb in CLIP])
    asked = EditOptions(
        prompt="night",
        later_prompts=later("12f:snow"),
        source=source,
        output=tmp_path / "out.mkv",
        resolution=(32, 24),
        encoding=LOSSLESS,
        mask=still_mask(tmp_path),
    )
    model = ToyModel(autoencoder=ToyAutoencoder())
    report = edit_side_by_side(model, build_config(), asked, tmp_path / "all.mkv", host=load_plugins())
    assert report.prompts == ((12, "snow"),)
    shown = pixels(tmp_path / "all.mkv")[:, :, TITLE_ROWS:]
    before, dense, pruned = (shown[..., WIDTH * place : WIDTH * (place + 1)] for place in range(3))
    for edited in (dense, pruned):
        assert torch.equal(edited[..., 24:], before[..., 24:])
        assert not torch.equal(edited[..., :24], before[..., :24])


def test_a_mask_is_not_overwritten_by_three_side_by_side(tmp_path: Path) -> None:
    mask = MaskChoice(path=tmp_path / "m.mp4")
    asked = EditOptions(prompt="x", source=tmp_path / "in.mp4", output=tmp_path / "b.mkv", mask=mask)
    with pytest.raises(ValueError, match="would be overwritten"):
        check_side_by_side(asked, mask.path)


def test_each_of_several_clips_has_the_whole_schedule(tmp_path: Path) -> None:
    rows = rows_of(small_clips(tmp_path, "ab", frames=26), tmp_path / "out", prompts=["0:night", "12f:snow"])
    assert [one.report["prompts"] for one in run_rows(rows)] == [((12, "snow"),)] * 2


def test_another_schedule_is_another_edit_of_clips(tmp_path: Path) -> None:
    clips = small_clips(tmp_path, "a")
    schedules = (
        (("night",), "edited"),
        (("0:night", "12f:snow"), "edited"),
        (("0:night", "12f:snow"), "there"),
    )
    for prompts, state in schedules:
        assert states(run_rows(rows_of(clips, tmp_path / "out", prompts=prompts))) == [state]
