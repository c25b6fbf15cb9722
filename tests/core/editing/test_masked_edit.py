"""An edit of which a mask says what may change, from file to file on a toy model."""

from fractions import Fraction
from pathlib import Path

import pytest
import torch
from PIL import Image

import lipar
import lipar.prompts
from lipar.config import build_config
from lipar.editing.run import edit_video
from lipar.events import EditOptions, EditReport, MaskChoice
from lipar.plugin.host import load_plugins
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoError, VideoReader, VideoWriter, synthetic_clip
from lipar.video.encoding import Encoding

SIZE = (160, 96)
LEFT = torch.arange(160).expand(96, -1) < 60
NEARLY_LOSSLESS = Encoding.of("h264", 1)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """26 frames: two blocks of the toy model and a bit."""
    path = tmp_path / "clip.mp4"
    with VideoWriter(
        path,
        width=160,
        height=96,
        time_base=Fraction(1, 24),
        frame_rate=Fraction(24),
        encoding=NEARLY_LOSSLESS,
    ) as writer:
        for frame in synthetic_clip(26, *SIZE):
            writer.write(frame.rgb, pts=frame.index, duration=1)
    return path


def picture(folder: Path, white: torch.Tensor) -> MaskChoice:
    path = folder / "mask.png"
    Image.fromarray((white.numpy() * 255).astype("uint8")).save(path)
    return MaskChoice(path=path)


def edit(source: Path | None, output: Path, model: ToyModel | None = None, **options: object) -> EditReport:
    asked = EditOptions(
        **{"prompt": "night", "encoding": NEARLY_LOSSLESS, **options}, output=output, source=source
    )
    settings = [{"prune": {"scene_cuts": False}}]
    made = model or ToyModel(autoencoder=ToyAutoencoder())
    return edit_video(made, build_config(settings=settings), asked, host=load_plugins())


def pixels(path: Path) -> torch.Tensor:
    with VideoReader(path) as reader:
        return torch.stack([frame.unit() for frame in reader])


def psnr(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float(-10 * torch.log10((found - expected).square().mean()))


@pytest.mark.parametrize("options", [{}, {"dense": True}, {"resolution": (64, 32)}])
def test_outside_the_mask_the_result_is_the_source_up_to_the_codec(
    clip: Path, tmp_path: Path, options: dict[str, object]
) -> None:
    report = edit(clip, tmp_path / "out.mp4", mask=picture(tmp_path, LEFT), **options)
    source, found = pixels(clip), pixels(tmp_path / "out.mp4")
    assert psnr(found[..., 60:], source[..., 60:]) > 45
    assert psnr(found[..., :58], source[..., :58]) < 30
    assert report.inside_fraction is not None and 0.3 < report.inside_fraction < 0.8


def test_a_mask_of_everything_gives_the_file_of_no_mask(clip: Path, tmp_path: Path) -> None:
    plain = edit(clip, tmp_path / "plain.mp4")
    masked = edit(clip, tmp_path / "masked.mp4", mask=picture(tmp_path, torch.ones(96, 160).bool()))
    assert torch.equal(pixels(tmp_path / "plain.mp4"), pixels(tmp_path / "masked.mp4"))
    assert masked.kept_fraction == plain.kept_fraction and masked.inside_fraction == 1


def test_a_mask_of_nothing_gives_the_source_without_a_pass(clip: Path, tmp_path: Path) -> None:
    model = ToyModel(autoencoder=ToyAutoencoder())
    report = edit(clip, tmp_path / "out.mp4", model, mask=picture(tmp_path, torch.zeros(96, 160).bool()))
    assert psnr(pixels(tmp_path / "out.mp4"), pixels(clip)) > 45
    assert not model.passes and (report.kept_fraction, report.inside_fraction) == (0, 0)


def test_a_mask_of_nothing_inverted_is_a_mask_of_everything(clip: Path, tmp_path: Path) -> None:
    nothing = picture(tmp_path, torch.zeros(96, 160).bool())
    report = edit(clip, tmp_path / "out.mp4", mask=MaskChoice(path=nothing.path, invert=True))
    assert report.inside_fraction == 1


def test_a_moving_mask_is_followed_frame_by_frame(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "mask.mp4"
    with VideoWriter(
        path, width=160, height=96, time_base=Fraction(1, 24), encoding=NEARLY_LOSSLESS
    ) as writer:
        for index in range(26):
            white = torch.arange(160).expand(3, 96, -1) < 20 + 4 * index
            writer.write(white.float(), pts=index, duration=1)
    edit(clip, tmp_path / "out.mp4", mask=MaskChoice(path=path))
    source, found = pixels(clip), pixels(tmp_path / "out.mp4")
    for index in range(26):
        stays = 20 + 4 * index + 2
        assert psnr(found[index, ..., stays:], source[index, ..., stays:]) > 40
        assert psnr(found[index, ..., : stays - 6], source[index, ..., : stays - 6]) < 35


def test_less_is_computed_than_without_a_mask(clip: Path, tmp_path: Path) -> None:
    plain = edit(clip, tmp_path / "plain.mp4")
    masked = edit(
        clip, tmp_path / "masked.mp4", mask=picture(tmp_path, torch.arange(160).expand(96, -1) < 16)
    )
    assert masked.steady_kept_fraction < plain.steady_kept_fraction


def test_a_generated_clip_takes_a_mask(tmp_path: Path) -> None:
    report = edit(None, tmp_path / "out.mp4", mask=picture(tmp_path, LEFT), synthetic_frames=12)
    assert report.inside_fraction is not None and report.inside_fraction < 1


def test_the_overlay_shows_the_border_of_the_mask(clip: Path, tmp_path: Path) -> None:
    edit(clip, tmp_path / "out.mp4", mask=picture(tmp_path, LEFT), overlay=tmp_path / "overlay.mp4")
    brightness = pixels(tmp_path / "overlay.mp4").mean(dim=(0, 1, 2))
    assert int(brightness.argmax()) in (58, 59)


def test_a_mask_is_not_overwritten(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="would be overwritten"):
        edit(clip, tmp_path / "out.mp4", mask=MaskChoice(path=tmp_path / "out.mp4"))


def test_a_mask_that_cannot_be_read_is_refused_before_anything_is_written(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(VideoError):
        edit(clip, tmp_path / "out.mp4", mask=MaskChoice(path=tmp_path / "none.png"))
    assert not (tmp_path / "out.mp4").exists()


def test_lipar_edit_takes_a_path(clip: Path, tmp_path: Path) -> None:
    model = ToyModel(autoencoder=ToyAutoencoder())
    path = picture(tmp_path, LEFT).path
    report = lipar.edit(clip, "night", tmp_path / "out.mp4", model=model, mask=path, quiet=True)
    assert report.inside_fraction is not None


def test_prompts_take_effect_at_the_first_block_after_their_moment(clip: Path, tmp_path: Path) -> None:
    model = ToyModel(autoencoder=ToyAutoencoder())
    schedule = [(0, "night"), ("0.3s", "snow"), ("20f", "fog")]
    report = lipar.edit(clip, schedule, tmp_path / "out.mp4", model=model, quiet=True)
    assert report.prompts == ((12, "snow"), (24, "fog"))


def test_a_schedule_does_not_change_what_is_before_it(clip: Path, tmp_path: Path) -> None:
    edit(clip, tmp_path / "one.mp4")
    later = lipar.prompts.PromptSchedule.parse(["0:night", "12f:snow"]).entries[1:]
    edit(clip, tmp_path / "two.mp4", later_prompts=later)
    one, two = pixels(tmp_path / "one.mp4"), pixels(tmp_path / "two.mp4")
    assert psnr(two[:11], one[:11]) > 40 and psnr(two[12:], one[12:]) < 35
