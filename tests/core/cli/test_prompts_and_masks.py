"""`lipar edit` with prompts that change and with a mask: what is accepted, refused and said."""

import re
from pathlib import Path

import pytest
import torch
from command_runs import Toy, offer_toy, run_command
from PIL import Image

from lipar.video import write_synthetic_clip


@pytest.fixture
def edit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path):
    """Run `lipar edit` on a clip of 26 frames; gives the exit code, standard output and standard error."""
    offer_toy(monkeypatch)
    clip = write_synthetic_clip(tmp_path / "clip.mp4", frames=26, width=80, height=48)

    def call(*arguments: object) -> tuple[int, str, str]:
        common = ("-o", tmp_path / "out.mp4", "--model", "toy", "--quiet")
        return run_command(monkeypatch, capsys, "edit", clip, *common, *arguments)

    return call


def mask(folder: Path, white: torch.Tensor) -> Path:
    Image.fromarray((white.numpy() * 255).astype("uint8")).save(folder / "mask.png")
    return folder / "mask.png"


def prompts(*texts: str) -> list[str]:
    return [word for text in texts for word in ("--prompt", text)]


def test_the_summary_says_at_which_frame_each_prompt_took_effect(edit) -> None:
    code, out, _ = edit(*prompts("0:night", "5f:snow", "9s:fog"))
    assert code == 0
    assert "prompts: 'night' from frame 0 on, 'snow' from frame 12 on" in out
    assert "the prompt '9s:fog' never took effect" in out


def test_a_single_prompt_is_not_in_the_summary(edit) -> None:
    code, out, _ = edit(*prompts("a clock at 12:30"))
    assert code == 0 and "prompts:" not in out


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (("0:night", "snow"), "'snow': of several prompts each is MOMENT:TEXT"),
        (("4s:snow", "8s:night"), "the first prompt must begin at 0"),
        (("0:night", "4s: "), "the prompt at 4s is empty"),
    ],
)
def test_what_is_no_schedule_is_refused_in_a_line(edit, texts: tuple[str, ...], says: str) -> None:
    code, _, err = edit(*prompts(*texts))
    assert code == 2 and says in " ".join(err.split())


def test_the_summary_says_how_much_may_change(edit, tmp_path: Path) -> None:
    white = torch.arange(80).expand(48, -1) < 30
    code, out, _ = edit(*prompts("night"), "--mask", mask(tmp_path, white), "--mask-feather", 2)
    assert code == 0
    found = re.search(r"mask mask.png: ([0-9.]+) % of the tokens may change", out)
    assert found is not None and 100 * 30 / 80 < float(found[1]) < 100 * 30 / 80 + 25


def test_a_mask_of_nothing_is_said(edit, tmp_path: Path) -> None:
    path = mask(tmp_path, torch.ones(48, 80, dtype=torch.bool))
    code, out, _ = edit(*prompts("night"), "--mask", path, "--mask-invert")
    assert code == 0 and "nothing may change" in out


@pytest.mark.parametrize("option", [("--mask-invert",), ("--mask-feather", "3")])
def test_options_of_a_mask_need_one(edit, option: tuple[str, ...]) -> None:
    code, _, err = edit(*prompts("night"), *option)
    assert code == 2 and "give --mask as well" in " ".join(err.split())


def test_a_feather_is_a_number_of_pixels(edit, tmp_path: Path) -> None:
    code, _, err = edit(*prompts("night"), "--mask", tmp_path / "m.png", "--mask-feather", "-1")
    assert code == 2 and "0..256" in " ".join(err.split())


def test_a_mask_that_is_missing_or_no_picture_is_refused_before_the_model_loads(
    edit, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Toy, "load", lambda *_: pytest.fail("the model was loaded"))
    code, _, err = edit(*prompts("night"), "--mask", tmp_path / "none.png")
    assert code == 1 and "none.png" in err
    (tmp_path / "text.png").write_text("no picture")
    code, _, err = edit(*prompts("night"), "--mask", tmp_path / "text.png")
    assert code == 1 and "text.png" in err


def test_a_mask_is_refused_with_several_clips_and_a_schedule_is_not(edit, tmp_path: Path) -> None:
    other = write_synthetic_clip(tmp_path / "other.mp4", frames=14, width=80, height=48)
    several = (other, "-o", tmp_path / "out", *prompts("0:night", "5f:snow"))
    code, _, err = edit(*several, "--mask", mask(tmp_path, torch.ones(48, 80, dtype=torch.bool)))
    assert code == 2 and "edit each clip with its own mask" in " ".join(err.split())
    code, out, _ = edit(*several)
    assert code == 0 and "2 clips: 2 edited, 0 there already, 0 failed" in out


def test_a_mask_that_would_be_overwritten_is_refused(edit, tmp_path: Path) -> None:
    path = mask(tmp_path, torch.ones(48, 80, dtype=torch.bool))
    code, _, err = edit("-o", path, "--preview", "5f", *prompts("night"), "--mask", path)
    assert code == 1 and "would be overwritten" in err
