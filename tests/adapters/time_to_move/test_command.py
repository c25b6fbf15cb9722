"""`lipar ttm`: from a folder to a clip, on toy models saved as the released ones are."""

import json
from types import SimpleNamespace

import pytest
import torch
from command_runs import run_command
from PIL import Image
from taehv_toys import save_taehv
from wan_toys import save_pipeline, write_motion_folder

import lipar
from lipar.video import VideoReader, VideoWriter, probe
from lipar.video.contact_sheet import GAP
from lipar_adapters.time_to_move.command import SizeType

STEPS = ("--steps", 4, "--tweak", 1, "--tstrong", 2)


@pytest.fixture
def folder(tmp_path):
    """11 frames at 10 a second."""
    return write_motion_folder(tmp_path / "square", 11, "a red square on a photo")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    return {kind: save_pipeline(root / kind, kind) for kind in ("t2v-5b", "i2v-a14b")}


@pytest.fixture
def run(monkeypatch, capsys, folder, tmp_path):
    """Run `lipar ttm FOLDER -o out.mp4 ...`; gives the exit code, standard output and standard error."""

    def call(*arguments, where=folder, output=tmp_path / "out.mp4"):
        words = ["ttm", where, "-o", output, "--device", "cpu", *arguments]
        return run_command(monkeypatch, capsys, *words)

    return call


def frames_of(path):
    with VideoReader(path) as reader:
        return torch.stack([frame.unit() for frame in reader])


@pytest.mark.parametrize("kind", ["t2v-5b", "i2v-a14b"])
def test_a_folder_becomes_a_clip_of_its_length_size_and_rate(run, models, tmp_path, kind):
    code, said, _ = run("--model", models[kind], "--dense", "--size", "64x48", *STEPS)
    assert code == 0, said
    info = probe(tmp_path / "out.mp4")
    assert (info.width, info.height, float(info.frame_rate)) == (64, 48, 10)
    assert len(frames_of(tmp_path / "out.mp4")) == 9  # of 11, the last whole latent frame ends at 9
    lines = said.splitlines()
    assert lines[0].startswith("square -> ")
    assert lines[0].endswith(f"9 frames of 64x48 with {models[kind]}, seed 0")
    assert lines[1].startswith("steps 1 to 4 of 4; the masked region (")
    assert lines[1].endswith("free from step 2")
    assert lines[2] == "computed every token (--dense)"


def test_a_region_held_to_the_end_is_the_motion_video_in_the_clip(run, models, tmp_path):
    """Through a toy autoencoder nothing is like anything, so two motions are told apart instead."""
    same = ("--model", models["t2v-5b"], "--dense", "--size", "64x48", "--steps", 4, "--tweak", 3)
    free, held, again = (tmp_path / f"{name}.mp4" for name in ("free", "held", "again"))
    run(*same, "--tstrong", 3, output=free)
    run(*same, "--tstrong", 4, output=held)
    run(*same, "--tstrong", 4, output=again)
    assert torch.equal(frames_of(held), frames_of(again))
    assert not torch.equal(frames_of(held), frames_of(free))


def test_frames_and_stride_choose_from_the_motion_video(run, models, tmp_path):
    options = ("--model", models["t2v-5b"], "--dense", "--size", "64x48", *STEPS)
    code, said, _ = run(*options, "--frames", 5, "--stride", 2, "--json", tmp_path / "figures.json")
    assert code == 0, said
    assert len(frames_of(tmp_path / "out.mp4")) == 5
    assert float(probe(tmp_path / "out.mp4").frame_rate) == 5
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert figures["frames"] == 5
    assert figures["kept_fraction"] == 1
    assert figures["denoising_seconds"] > 0
    assert figures["speedup"] is None


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--frames", 13), "13 frames was asked for, but the motion video has 11; ask for 9 at most"),
        (("--frames", 6), "6 pixel frames do not make whole latent frames"),
        (("--size", "60x48"), "60x48 pixels do not divide into tokens of 16x16; take 64x48"),
        (("--tweak", 7, "--tstrong", 3), "tweak index 7 and tstrong index 3 of 4 steps"),
        (("--compare",), "--dense makes one clip and --compare two"),
        (("--model", "nowhere"), "nowhere has no model_index.json"),
        (("--set", "criterion=l7"), "no criterion named 'l7'"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(run, models, tmp_path, arguments, said):
    code, _, error = run("--model", models["t2v-5b"], "--dense", "--steps", 4, "--tweak", 1, *arguments)
    assert code != 0
    assert said in error.replace("\n", " ")
    assert not (tmp_path / "out.mp4").exists()


def test_without_a_prompt_or_a_file_it_is_said_which(run, models, folder, tmp_path):
    (folder / "prompt.txt").write_text("\n")
    code, _, error = run("--model", models["t2v-5b"], "--dense")
    assert code != 0
    assert "has no prompt.txt with words in it; say with --prompt" in error
    (folder / "mask.mp4").unlink()
    code, _, error = run("--dense", "--prompt", "a square")
    assert code == 1
    assert "has no mask.mp4; Time-to-Move needs" in error
    code, _, error = run("--dense", where=tmp_path / "elsewhere")
    assert code == 1
    assert "no folder" in error


def test_sizes_are_written_as_for_lipar_edit():
    assert SizeType().convert("256x176", None, None) == (256, 176)


# --- pruning ----------------------------------------------------------------------------------------------------


@pytest.fixture
def held(monkeypatch):
    """What was asked of `lipar.enable` and its siblings, which do nothing here."""
    calls = []

    def enable(pipe, config=None, *, source=None, host=None):
        calls.append(("enable", config, source.shape))

    def disable(pipe, *, host=None):
        calls.append(("disable",))

    def summary(pipe, *, host=None):
        return SimpleNamespace(kept_tokens=3, all_tokens=4)

    for function in (enable, disable, summary):
        monkeypatch.setattr(lipar, function.__name__, function)
    return calls


def test_a_pruned_run_is_held_by_the_motion_videos_latents_and_let_go_of(run, models, held):
    code, said, _ = run("--model", models["t2v-5b"], "--size", "64x48", *STEPS)
    assert code == 0, said
    assert held == [("enable", None, (1, 3, 16, 6, 8)), ("disable",)]
    assert "kept 75.0 % of the tokens, skipped 25.0 %" in said


def test_what_was_asked_for_reaches_the_pruning(run, models, held):
    run("--model", models["t2v-5b"], "--size", "64x48", *STEPS, "--set", "prune.tau_short=0.2")
    assert held[0][1].prune.tau_short == 0.2


def test_an_interrupted_run_is_let_go_of_and_leaves_no_clip(run, models, held, monkeypatch, tmp_path):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr("lipar_adapters.time_to_move.model.time_to_move", interrupted)
    code, _, error = run("--model", models["t2v-5b"], "--size", "64x48", *STEPS)
    assert code == 130
    assert "interrupted" in error
    assert [call[0] for call in held] == ["enable", "disable"]
    assert not (tmp_path / "out.mp4").exists()


def test_compared_clips_stand_side_by_side_with_their_figures(run, models, held, tmp_path, monkeypatch):
    pytest.importorskip("cv2", reason="optical flow needs OpenCV")
    json_file = tmp_path / "figures.json"
    options = ("--model", models["i2v-a14b"], "--size", "64x48", "--compare", "--json", json_file)
    options += ("--sheet", tmp_path / "sheet.png")
    passed = []
    write = VideoWriter.write

    def kept(writer, rgb, **when):
        passed.append(rgb.clone())
        write(writer, rgb, **when)

    monkeypatch.setattr(VideoWriter, "write", kept)
    code, said, _ = run(*options, *STEPS)
    assert code == 0, said
    assert [call[0] for call in held] == ["enable", "disable"]
    both = frames_of(tmp_path / "out.mp4")
    assert both.shape == (9, 3, 48, 128)
    figures = json.loads(json_file.read_text())
    # nothing was pruned here, so both are the same clip
    assert figures["psnr_to_dense"] is None
    assert figures["warp_error"] == figures["dense_warp_error"] > 0
    assert figures["speedup"] == pytest.approx(
        figures["dense_denoising_seconds"] / figures["denoising_seconds"]
    )
    assert "equal to dense" in said
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.size == (6 * 64 + 5 * GAP, 3 * 48 + 2 * GAP)
    # before the encoder, which does not code equal halves equally
    assert len(passed) == 9
    assert all(torch.equal(rgb[..., :64], rgb[..., 64:]) for rgb in passed)


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_the_clip_is_not_written_when_its_sheet_fails(run, models, tmp_path, monkeypatch, error):
    def full(path, *_):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr("lipar_adapters.time_to_move.run.write_contact_sheet", full)
    (tmp_path / "out.mp4").write_text("old")
    options = ("--sheet", tmp_path / "sheet.png", "--json", tmp_path / "figures.json", "--size", "64x48")
    code, _, said = run("--model", models["t2v-5b"], *options, *STEPS)
    assert code == (130 if isinstance(error, KeyboardInterrupt) else 1)
    assert said.rstrip().endswith("nothing new was left behind, and out.mp4 is as before")
    assert (tmp_path / "out.mp4").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "square"]


@pytest.mark.parametrize("kind", ["t2v-5b", "i2v-a14b"])
def test_tokens_that_repeat_in_the_motion_video_are_pruned(run, models, tmp_path, kind):
    figures = tmp_path / "figures.json"
    options = ("--size", "64x48", *STEPS, "--compare", "--json", figures, "--set", "prune.keep=0.4")
    code, said, error = run("--model", models[kind], *options)
    assert code == 0, error
    found = json.loads(figures.read_text())
    assert 1 / 3 < found["kept_fraction"] < 0.9
    assert found["psnr_to_dense"] is not None
    assert "faster than computing every token" in said or "slower" in said


def test_a_start_from_pure_noise_takes_every_step_and_says_so(run, models, tmp_path):
    figures = tmp_path / "figures.json"
    clocks = ("--steps", 3, "--tweak", -1, "--tstrong", 2)
    code, said, _ = run("--model", models["i2v-a14b"], "--dense", *clocks, "--json", figures)
    assert code == 0, said
    assert "steps 0 to 3 of 3 from pure noise; the masked region" in said
    assert json.loads(figures.read_text())["tweak_index"] == -1


def test_taehv_can_take_the_place_of_a_wan_autoencoder(run, models, tmp_path):
    file = save_taehv(tmp_path)
    code, said, _ = run("--model", models["i2v-a14b"], "--taehv", file, "--size", "64x48", *STEPS)
    assert code == 0, said
    assert len(frames_of(tmp_path / "out.mp4")) == 9
    code, _, error = run("--taehv", file)
    assert code != 0
    assert "the bundled model has an autoencoder of its own" in error
