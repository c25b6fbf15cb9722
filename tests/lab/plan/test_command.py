"""`lipar plan` and `lipar bench --calibrate` from the command line, on a toy model."""

import json
from pathlib import Path

import pytest
from command_runs import run_command
from plan_toys import SIZE, ToyStream, toy_clip, toy_config, toy_host, toy_model

import lipar_lab.plan.calibrate
import lipar_lab.plan.calibrate_command
import lipar_lab.plan.run
from lipar_lab.plan.calibrate import calibrate_model
from lipar_lab.plan.check import measure_edit
from lipar_lab.plan.memory import peak_of
from lipar_lab.plan.store import VARIABLE, CalibrationFile

HOST = toy_host()
MODEL = ("--model", "toy-stream")
SIZED = ("--resolution", f"{SIZE[0]}x{SIZE[1]}")


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs `lipar` with the toy adapter, without new processes and with a calibration file of its own."""

    def here(function, loading, *given):
        if function.__name__ == "load_and_peak":
            return peak_of(toy_model(), loading.config, *given, host=HOST)
        return measure_edit(toy_model(), loading.config, *given, host=HOST)

    for module in (lipar_lab.plan.run, lipar_lab.plan.calibrate_command):
        monkeypatch.setattr(module, "plugin_host", lambda: HOST)
    for module in (lipar_lab.plan.run, lipar_lab.plan.calibrate):
        monkeypatch.setattr(module, "in_new_process", here)
    monkeypatch.setenv(VARIABLE, str(tmp_path / "calibration.json"))
    return lambda *words: run_command(monkeypatch, capsys, *words)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return toy_clip(tmp_path / "clip.mp4", 52)


@pytest.fixture(scope="module")
def calibration():
    return calibrate_model(toy_model(), toy_config(), SIZE, host=HOST, repeats=2, load=0.5, quiet=True)


@pytest.fixture
def calibrated(command, calibration, tmp_path):
    CalibrationFile(tmp_path / "calibration.json").put(calibration)
    return command


def test_without_a_calibration_the_kept_fractions_and_the_command_that_makes_one_are_printed(
    command, clip
) -> None:
    code, out, err = command(
        "plan",
        clip,
        *MODEL,
        *SIZED,
        "--set",
        "noise=kv-cache",
        "--set",
        "prune.keep=0.5",
        "--engine",
        "eager",
    )
    assert code == 1
    assert "kept " in out and "seconds" not in out
    wanted = (
        "lipar bench --calibrate --model toy-stream --resolution 64x48 --engine eager --set noise=kv-cache"
    )
    assert err.strip().endswith(wanted)


def test_the_command_that_is_named_makes_the_calibration(command, clip) -> None:
    arguments = ("plan", clip, *MODEL, *SIZED, "--set", "noise=kv-cache")
    _, _, err = command(*arguments)
    words = err.strip().rpartition("with: lipar ")[2].split()
    code, out, err = command(*words, "--repeats", "1")
    assert code == 0, err
    assert "stored in" in out and "leave-one-out error" in out
    assert command(*arguments)[0] == 0


def test_a_plan_is_printed_and_written(calibrated, clip, tmp_path) -> None:
    code, out, err = calibrated("plan", clip, *MODEL, *SIZED, "--json", tmp_path / "plan.json")
    assert code == 0, err
    assert "predicted seconds of a block, 2 denoise steps" in out and "frames/s" in out
    (figures,) = json.loads((tmp_path / "plan.json").read_text())["clips"]
    assert figures["pixel_frames"] == 52 and len(figures["blocks"]) == 5
    predicted = figures["predicted"]
    assert predicted["seconds"] == pytest.approx(
        predicted["warm_up"]
        + sum(
            block[stage]
            for block in predicted["blocks"]
            for stage in ("encode", "mask", "denoise", "clean", "decode")
        )
    )
    assert figures["calibration"]["fits"]["denoise step"]["form"] in ("linear", "piecewise")


def test_a_check_runs_the_edit_and_keeps_what_was_planned(calibrated, clip, tmp_path) -> None:
    other = toy_clip(tmp_path / "other.mp4", 30, seed=1)
    code, out, err = calibrated(
        "plan", clip, other, *MODEL, *SIZED, "--check", "--json", tmp_path / "plan.json"
    )
    assert code == 0, err
    assert out.count("check: predicted") == 2 and out.count("kept tokens as planned in every block") == 2
    for figures in json.loads((tmp_path / "plan.json").read_text())["clips"]:
        assert figures["check"]["same_tokens"]


def test_a_target_out_of_reach_and_one_that_dense_reaches(calibrated, clip) -> None:
    _, out, _ = calibrated("plan", clip, *MODEL, *SIZED, "--target-fps", "99999")
    assert "cannot be reached by pruning" in out
    _, out, _ = calibrated("plan", clip, *MODEL, *SIZED, "--target-fps", "0.01")
    assert "nothing needs to be pruned" in out


def test_a_target_between_is_reached_by_the_keep_that_is_printed(calibrated, clip, tmp_path) -> None:
    path = tmp_path / "plan.json"
    frames_per_second = {}
    for keep in ("0.05", "0.95"):
        calibrated("plan", clip, *MODEL, *SIZED, "--set", f"prune.keep={keep}", "--json", path)
        predicted = json.loads(path.read_text())["clips"][0]["predicted"]
        frames_per_second[keep] = predicted["frames_per_second"]
    target = sum(frames_per_second.values()) / 2
    _, out, _ = calibrated("plan", clip, *MODEL, *SIZED, "--target-fps", f"{target}", "--json", path)
    found = json.loads(path.read_text())["clips"][0]["target"]
    if found["keep"] is None:  # by the noise of so small times, dense was as fast
        assert "nothing needs" in out or "cannot be" in out
    else:
        assert f"--set prune.keep={found['keep']:g}" in out
        assert found["frames_per_second"] >= target


def test_a_stale_calibration_is_refused_with_what_changed(calibrated, clip, tmp_path) -> None:
    path = tmp_path / "calibration.json"
    table = json.loads(path.read_text())
    table["records"][0]["machine"]["torch"] = "1.0"
    path.write_text(json.dumps(table))
    code, out, err = calibrated("plan", clip, *MODEL, *SIZED)
    assert code == 1 and "kept " in out
    assert "torch was 1.0 and is" in err and "make it again with: lipar bench --calibrate" in err


def test_strength_0_is_said_to_compute_nothing(command, clip) -> None:
    code, out, _ = command("plan", clip, *MODEL, "--strength", "0")
    assert code == 0 and "nothing is denoised" in out
    code, _, err = command("bench", "--calibrate", *MODEL, "--set", "strength=0")
    assert code == 1 and "strength 0 denoises nothing" in err


def test_a_model_without_an_autoencoder_is_refused(command, clip, monkeypatch) -> None:
    monkeypatch.setattr(ToyStream, "load_without_transformer", lambda *given: None)
    code, _, err = command("plan", clip, *MODEL, "--set", "adapter.autoencoder=false")
    assert code == 1 and "has no autoencoder" in err


def test_an_adapter_that_can_only_load_everything_is_planned_as_well(command, clip) -> None:
    code, out, _ = command("plan", clip, *MODEL, *SIZED, "--set", "adapter.whole=true")
    assert code == 1 and "kept " in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--model", "tiny"), "--model: only with --calibrate"),
        (("--set", "noise=kv-cache", "--resolution", "64x64"), "--resolution, --set: only with --calibrate"),
        (("--calibrate", "--shape", "toy", "--json", "a.json"), "--json, --shape: not with --calibrate"),
    ],
)
def test_options_of_the_bench_and_of_a_calibration_are_not_mixed(command, words, said) -> None:
    code, _, err = command("bench", *words)
    assert code == 2 and said in err
