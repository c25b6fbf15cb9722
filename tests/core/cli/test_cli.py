"""The command line: what users type, and what is printed when it cannot be done."""

import contextlib
import importlib
import importlib.metadata
import json
import os
import re
import signal
import sys
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import attrs
import click
import numpy as np
import pytest
import torch
from command_runs import run_command

import lipar.plugin.host
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.testing.toy import ToyAutoencoder, ToyModel
from lipar.video import VideoWriter, probe, write_synthetic_clip
from lipar_plugins.criteria import L1


@attrs.frozen
class Toy:
    """A model that runs at once."""

    broken: bool = False

    def load(self, device: torch.device, dtype: torch.dtype) -> ToyModel:
        if self.broken:
            raise FileNotFoundError("no weights at models/toy; download them there first")
        return ToyModel(autoencoder=ToyAutoencoder())


class ToyPlugin:
    @hookimpl
    def lipar_register_adapters(self, registry: Registry) -> None:
        registry.add("toy", Toy)


@pytest.fixture(autouse=True)
def toy_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr("lipar.cli.host.load_plugins", lambda **options: load(ToyPlugin(), **options))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """Run `lipar ...`; gives the exit code, standard output and standard error."""

    def call(*arguments: object) -> tuple[int, str, str]:
        return run_command(monkeypatch, capsys, *arguments)

    return call


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_synthetic_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", frames=26, width=80, height=48)


def test_edit_says_what_was_skipped_how_fast_it_was_and_where_the_time_went(run, clip: Path, tmp_path: Path):
    code, out, _ = run("edit", clip, "--prompt", "night", "-o", tmp_path / "out.mp4", "--model", "toy")
    assert code == 0
    assert (tmp_path / "out.mp4").is_file()
    for part in ("26 frames of 80x48", "skipped", "frames/s", "DiT", "clean pass"):
        assert part in out
    # one block of three has its whole context, and copies fill it up
    assert "speed-up not measured: it takes 3 blocks" in out and "there were none" in out


def test_edit_says_the_speed_up_with_its_spread(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    # blocks 0 and 1 have a short context; of the other four the first, second and third are run dense, then pruned
    seconds = iter([1.0, 1.0, 2.0, 1.0, 3.0, 1.0, 5.0, 2.0, 1.0])
    monkeypatch.setattr("lipar.scheduler.Stopwatch.seconds", lambda watch: next(seconds))
    clip = write_synthetic_clip(tmp_path / "clip.mp4", frames=72, width=80, height=48)
    code, out, _ = run("edit", clip, *EDIT, "-o", tmp_path / "out.mp4", "--log", tmp_path / "e.jsonl")
    assert code == 0 and list(seconds) == []
    assert "2.50x faster than computing every token (2.00x to 3.00x on 3 of 6 blocks run both ways" in out
    *blocks, end = [json.loads(line) for line in (tmp_path / "e.jsonl").read_text().splitlines()][1:]
    assert [block["dense_seconds"] for block in blocks] == [None, None, 2.0, 3.0, 5.0, None]
    report = end["report"]
    assert (report["speedup"], report["speedup_range"], report["speedup_verdict"]) == (
        2.5,
        [2.0, 3.0],
        "faster",
    )


def test_codec_and_quality_decide_how_the_files_are_written(run, clip: Path, tmp_path: Path):
    paths = {name: tmp_path / f"{name}.mp4" for name in ("good", "bad", "overlay")}
    quality = ("--codec", "hevc", "--overlay", paths["overlay"], "--quality")
    assert run("edit", clip, "-o", paths["bad"], *EDIT, *quality, "ultrafast:50")[0] == 0
    assert run("edit", clip, "-o", paths["good"], *EDIT, *quality, 5)[0] == 0
    assert {probe(path).video_codec for path in paths.values()} == {"hevc"}
    assert paths["good"].stat().st_size > 2 * paths["bad"].stat().st_size


def test_edit_without_a_clip_makes_one(run, tmp_path: Path):
    code, out, _ = run("edit", "--prompt", "night", "-o", tmp_path / "out.mp4", "--model", "toy")
    assert code == 0
    assert "a generated clip" in out


def test_the_command_line_wins_over_the_config_file(run, clip: Path, tmp_path: Path):
    (tmp_path / "mine.toml").write_text('adapter = "toy"\nseed = 3\nstrength = 0.0\n')
    arguments = ("--prompt", "x", "-o", tmp_path / "o.mp4", "--config", tmp_path / "mine.toml", "--seed", 9)
    code, out, _ = run("edit", clip, *arguments)
    assert code == 0
    assert "seed 9" in out


EDIT = ["--prompt", "x", "--model", "toy"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--set", "recovery=m-degre"], "no recovery named 'm-degre'; registered: "),
        (["--set", "noise.sigma=1"], "of lipar 0.1.0 has no option 'sigma'; it has: fresh_noise, in_block"),
        (["--set", "prune.tau_shrt=1"], "unknown key 'tau_shrt' in prune"),
        (["--set", "steps=5"], "steps must be a list, each a whole number, got 5"),
        (["--set", "criterion=mask"], "criterion 'mask' cannot do without its option 'path'; write {name = \"mask\","),
        (["--set", "refiners=['bucket']"], "the refiners make no mask; put 'gaussian-threshold' or 'threshold' among"),
        (["--set", "prune.tau_short=high"], "prune.tau_short must be a number, got 'high'"),
        (["--set", "seed"], "--set takes key=value"),
        (["--strength", "1.5"], "strength must lie in 0..1 (0 leaves the source as it is, 1 begins from noise)"),
        (["--preset", "fast"], "no preset named 'fast'; there are: paper, released"),
        (["--config", "missing.toml"], "cannot read the config missing.toml"),
        (["--set", "refiners=['median']"], "the refiners make no mask"),
        (["--set", "cache.window_frames=2"], "window of 2 frames"),
        (["--model", "wan"], "no adapter named 'wan'; registered: "),
        (["--set", "adapter={name='toy', broken=true}"], "no weights at models/toy; download them"),
        (["--resolution", "60x48"], "60x48 does not divide into tokens of 8x8"),
        (["--resolution", "big"], "'big' is no size; write WIDTHxHEIGHT"),
        (["--device", "gpu"], "no device named 'gpu'"),
        (["--codec", "h265"], "no codec named 'h265'; there are: h264, hevc, av1, h264_nvenc"),
        (["--quality", "good"], "h264 has no quality 'good'; write a number from 0 (best) to 51, by default 17;"),
        (["--codec", "av1", "--quality", "medium"], "av1 has no quality 'medium'"),
        (["--codec", "av1", "--overlay", "ov.mov"], "ov.mov cannot contain av1; name it .mp4 or .mkv"),
        (["--log", "events.txt"], "--log: output events.txt ends in '.txt'; it must end in .jsonl"),
        (["--record-masks", "masks.npz"], "--record-masks: output masks.npz ends in '.npz'; it must end in .npy"),
        (["--profile", "clip.mp4"], "it must end in .json; to print the table alone, write --profile last"),
        (["--profile", "no/trace.json"], "--profile: the folder"),
    ],
)  # fmt: skip
def test_a_bad_argument_is_answered_in_one_line(
    run, clip: Path, tmp_path: Path, arguments: list[str], said: str
):
    code, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT, *arguments)
    assert code != 0
    assert said in err
    assert "Traceback" not in err
    assert list(tmp_path.iterdir()) == []


def test_a_missing_clip_and_a_missing_folder_are_named(run, clip: Path, tmp_path: Path):
    code, _, err = run("edit", tmp_path / "no.mp4", "-o", tmp_path / "out.mp4", *EDIT)
    assert code == 1 and "no.mp4" in err
    code, _, err = run("edit", clip, "-o", tmp_path / "no" / "out.mp4", *EDIT)
    assert code == 1 and "does not exist" in err


def test_an_empty_prompt_is_refused(run, clip: Path, tmp_path: Path):
    code, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", "--model", "toy", "--prompt", "  ")
    assert code != 0
    assert "prompt" in err


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens where there is no CUDA device")
def test_a_device_that_is_not_there_is_refused(run, clip: Path, tmp_path: Path):
    code, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT, "--device", "cuda")
    assert code == 1
    assert "sees no CUDA device; use cpu" in err


def test_debug_shows_the_traceback(run, clip: Path, tmp_path: Path):
    with pytest.raises(LookupError, match="no recovery named"):
        run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT, "--set", "recovery=no", "--debug")


def test_ctrl_c_leaves_nothing_and_says_so(run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyModel, "forward", interrupt)
    code, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT)
    assert (code, list(tmp_path.iterdir())) == (130, [])
    assert "interrupted" in err


def test_an_interrupted_edit_says_what_is_there(
    run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Late:
        @hookimpl
        def lipar_edit_ended(self) -> None:
            raise KeyboardInterrupt

    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr("lipar.cli.host.load_plugins", lambda **options: load(ToyPlugin(), Late(), **options))
    code, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", "--overlay", tmp_path / "ov.mp4", *EDIT)
    assert (code, err.strip()) == (130, "interrupted; out.mp4 and ov.mp4 are complete")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.mp4", "ov.mp4"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_edit_that_a_signal_ends_names_it_and_what_is_there(
    run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
):
    (tmp_path / "out.mp4").write_text("old")
    monkeypatch.setattr(ToyModel, "forward", lambda *_: signal.raise_signal(number))
    code, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT)
    assert code == 128 + number, err
    assert err == f"ended ({number.name}); nothing new was left behind, and out.mp4 is as before\n"
    assert signal.getsignal(number) is signal.SIG_DFL


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_a_summary_that_cannot_be_printed_leaves_the_video_and_says_so(
    run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        code, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            full.close()
    assert code == 1 and (tmp_path / "out.mp4").is_file()
    assert "No space left on device; the summary could not be printed, but" in err and "is complete" in err


def test_a_reader_of_the_summary_that_went_away_is_no_traceback_and_leaves_the_video(
    run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as broken:
        monkeypatch.setattr(sys, "stdout", broken)
        code, _, err = run("edit", clip, "-o", tmp_path / "out.mp4", *EDIT)
        monkeypatch.undo()
        with contextlib.suppress(OSError):
            broken.close()
    assert (code, err) == (1, "") and (tmp_path / "out.mp4").is_file()


def test_strategies_lists_every_part_with_owner_and_options(run):
    code, out, _ = run("strategies")
    assert code == 0
    for part in ("l1-trimmed", "gaussian-threshold", "m-degree", "step-matched", "copy", "toy"):
        assert part in out
    assert "degree: int | None = None" in out
    assert "[lipar 0.1.0]" in out


def test_a_part_that_cannot_be_described_hides_no_other(run, monkeypatch: pytest.MonkeyPatch):
    def unreadable(_):
        raise SystemExit(0)

    @attrs.frozen
    class Odd(L1):
        """Odd."""

        needs = "pixels"

    @attrs.frozen
    class Unreadable(L1):
        """Odd, too."""

        gain: object = type("Gain", (), {"__repr__": unreadable})()

    class Offers:
        @hookimpl
        def lipar_register_criteria(self, registry: Registry) -> None:
            registry.add("odd", Odd)
            registry.add("unreadable", Unreadable)

    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr("lipar.cli.host.load_plugins", lambda **options: load(Offers(), **options))
    code, out, _ = run("strategies")
    assert code == 0
    assert "cannot be described: ConfigError: criterion 'odd' needs 'pixels'; write a set of facts" in out
    assert (
        "unreadable           cannot be described: RuntimeError: criterion 'unreadable' (plugin Offers of"
        in out
    )
    assert "l1-trimmed" in out and "m-degree" in out


def test_strategies_of_one_kind(run):
    _, out, _ = run("strategies", "recovery")
    assert "m-degree" in out and "gaussian-threshold" not in out


def test_plugins_lists_what_was_left_out_and_why(run, monkeypatch: pytest.MonkeyPatch):
    class Broken:
        @hookimpl
        def lipar_register_criteria(self, registry: Registry) -> None:
            raise OSError("no such device")

    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr("lipar.cli.host.load_plugins", lambda **options: load(Broken(), **options))
    code, out, err = run("plugins")
    assert code == 0
    assert "failed: OSError: no such device" in out
    assert "was left out" in err


def test_plugins_for_programs_have_version_parts_and_hooks(run):
    code, out, _ = run("plugins", "--json")
    assert code == 0
    found = {plugin["name"]: plugin for plugin in json.loads(out)}
    assert found["noise"]["version"] == "0.1.0" and found["noise"]["error"] is None
    assert "step-matched" in found["noise"]["parts"]["noise"]
    assert found["stages"]["hooks"] == ["lipar_prune", "lipar_forward", "lipar_restore"]


def test_plugins_lists_hooks_and_what_was_disabled(run, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("LIPAR_DISABLED_PLUGINS", "noise")
    _, out, _ = run("plugins")
    (line,) = [line for line in out.splitlines() if line.startswith("noise")]
    assert line.split() == ["noise", "lipar", "0.1.0", "disabled"]
    assert "hooks: lipar_register_criteria" in out


def test_no_plugins_leaves_out_other_plugins_and_keeps_lipars_own(run, monkeypatch: pytest.MonkeyPatch):
    def broken() -> None:
        raise ImportError("no module named 'cv9'")

    third_party = SimpleNamespace(
        name="bad", load=broken, dist=SimpleNamespace(name="lipar-bad", version="1")
    )
    real = importlib.metadata.entry_points
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda group: [*real(group=group), third_party])
    _, out, err = run("plugins")
    assert "failed: ImportError" in out and "was left out" in err
    code, out, err = run("--no-plugins", "plugins")
    assert (code, err) == (0, "")
    assert "bad                  lipar-bad 1          disabled" in out
    assert "l1-trimmed" in out


def test_help_of_edit_has_every_option_under_one_heading():
    command = importlib.import_module("lipar.cli.edit").edit
    text = command.get_help(click.Context(command, info_name="lipar edit"))
    assert all(f"\n{heading}:\n" in text for heading in ("Options", *command.groups))
    for param in command.params:
        if isinstance(param, click.Option):
            assert len(re.findall(rf"^  .*{param.opts[-1]}\b(?!-)", text, re.MULTILINE)) >= 1, param.name
    named = [name for names in command.groups.values() for name in names]
    assert len(named) == len(set(named))
    assert set(named) <= {param.name for param in command.params}


def test_edit_writes_the_profile_the_log_and_the_masks(run, clip: Path, tmp_path: Path):
    files = {name: tmp_path / name for name in ("out.mp4", "trace.json", "events.jsonl", "masks.npy")}
    code, out, _ = run(
        "edit", clip, *EDIT, "-o", files["out.mp4"], "--profile", files["trace.json"],
        "--log", files["events.jsonl"], "--record-masks", files["masks.npy"],
    )  # fmt: skip
    assert code == 0
    assert re.search(r"^DiT +\d+\.\d %", out, re.MULTILINE)
    assert sorted(tmp_path.iterdir()) == sorted(files.values())
    assert np.load(files["masks.npy"]).shape[0] == 9


def test_profile_without_a_file_prints_the_table_alone(run, clip: Path, tmp_path: Path):
    code, out, _ = run("edit", clip, *EDIT, "-o", tmp_path / "out.mp4", "--profile")
    assert code == 0 and "mean ms" in out
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize(
    ("option", "name"), [("--log", "e.jsonl"), ("--record-masks", "m.npy"), ("--profile", "t.json")]
)
def test_a_file_that_may_not_be_written_is_refused_before_the_model_loads(
    run, clip: Path, tmp_path: Path, option: str, name: str, monkeypatch: pytest.MonkeyPatch
):
    (tmp_path / name).write_text("precious")
    access = os.access
    # a test that runs as root may write anything
    monkeypatch.setattr(
        "os.access", lambda path, mode: (Path(path).name, mode) != (name, os.W_OK) and access(path, mode)
    )
    monkeypatch.setattr(Toy, "load", lambda *_: pytest.fail("the model was loaded"))
    code, _, err = run("edit", clip, *EDIT, "-o", tmp_path / "out.mp4", option, tmp_path / name)
    assert code == 1 and f"{option}: " in err and "may not be written to" in err
    assert (tmp_path / name).read_text() == "precious"


def test_a_full_disk_is_said_before_the_model_loads(
    run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=0))
    monkeypatch.setattr(Toy, "load", lambda *_: pytest.fail("the model was loaded"))
    code, _, err = run("edit", clip, *EDIT, "-o", tmp_path / "out.mp4", "--log", tmp_path / "e.jsonl")
    assert code == 1 and "is full" in err


def test_a_plugin_whose_hook_fails_is_named_in_the_line_that_is_printed(
    run, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    class Decides:
        @hookimpl
        def lipar_restore(self) -> None:
            raise ValueError("bad donor")

    load = lipar.plugin.host.load_plugins
    monkeypatch.setattr(
        "lipar.cli.host.load_plugins", lambda **options: load(ToyPlugin(), Decides(), **options)
    )
    code, _, err = run("edit", clip, *EDIT, "-o", tmp_path / "out.mp4")
    assert code == 1
    assert "bad donor; raised in lipar_restore of plugin Decides" in err


def test_compare_and_edit_list_the_scene_cuts_they_found(run, tmp_path: Path):
    cut = tmp_path / "cut.mp4"
    with VideoWriter(cut, width=64, height=64, time_base=Fraction(1, 24)) as writer:
        for index in range(36):
            generator = torch.Generator().manual_seed(index // 24)
            scene = torch.rand(3, 8, 8, generator=generator).repeat_interleave(8, 1).repeat_interleave(8, 2)
            writer.write(scene, pts=index, duration=1)
    arguments = ("--prompt", "x", "--set", "adapter=toy", "--no-random")
    _, out, _ = run("compare", cut, *arguments)
    assert "| cut | as configured | 1 (at 24) |" in out
    _, out, _ = run("compare", cut, *arguments, "--set", "prune.scene_cuts=false")
    assert "| cut | as configured | none |" in out
    _, out, _ = run("edit", cut, *EDIT, "-o", tmp_path / "out.mp4")
    assert "; 1 scene cut, with a whole block at frame 24" in out


def test_models_lists_adapters_and_shows_one(run):
    _, out, _ = run("models")
    assert "toy" in out and "A model that runs at once." in out
    code, out, _ = run("models", "show", "toy")
    assert code == 0 and "broken: bool = False" in out
    code, _, err = run("models", "show", "tyo")
    assert code == 1 and "did you mean 'toy'?" in err


def test_strategies_say_what_a_part_needs_and_an_adapter_gives(run):
    _, out, _ = run("strategies")
    assert "needs a KV cache of the frames before the block" in out
    assert "gives a KV cache of the frames before the block and " in out


def test_check_says_whether_a_config_can_run(run, tmp_path: Path):
    (tmp_path / "mine.toml").write_text('adapter = "toy"\nnoise = "noisy-chain"\n')
    code, out, _ = run("check", "--config", tmp_path / "mine.toml")
    assert code == 0 and out.startswith("can run on toy: criterion l1; ") and "noise noisy-chain" in out
    code, out, err = run("check", "--config", tmp_path / "mine.toml", "--set", "refiners=['dilate']")
    assert (code, out) == (1, "") and "none was made before it" in err


def test_compare_prints_a_table_with_the_random_baseline(run, clip: Path, tmp_path: Path):
    arguments = ("--prompt", "x", "--set", "adapter=toy", "--variant", "noise=kv-cache")
    code, out, _ = run("compare", clip, *arguments, "--json", tmp_path / "figures.json")
    assert code == 0
    rows = [line for line in out.splitlines() if line.startswith("| clip")][1:]
    assert [row.split("|")[2].strip() for row in rows] == [
        "as configured", "noise=kv-cache", "random at the same rate",
    ]  # fmt: skip
    assert (tmp_path / "figures.json").is_file()


def test_certify_prints_a_bound_above_the_true_error_for_every_step_and_layer(run, clip: Path):
    code, out, _ = run("certify", clip, "--prompt", "x", "--set", "adapter=toy")
    assert code == 0
    titles, _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in out.splitlines())
    rows = [dict(zip(titles, row, strict=True)) for row in rows]
    assert [(row["step"], row["layer"]) for row in rows] == [("0", "0"), ("0", "1"), ("1", "0"), ("1", "1")]
    for row in rows:
        assert 0 < float(row["true error"]) <= float(row["bound"])
        assert row["holds"] == "yes"


def test_certify_says_when_nothing_can_be_certified(run, clip: Path):
    code, out, err = run("certify", clip, "--prompt", "x", "--set", "adapter=toy", "--set", "recovery=none")
    assert (code, out) == (1, "") and "no block could be certified" in err


def test_options_of_the_model_named_on_the_command_line_stay(run, clip: Path, tmp_path: Path):
    code, _, err = run("edit", clip, "-o", tmp_path / "o.mp4", *EDIT, "--set", "adapter.broken=true")
    assert code == 1
    assert "no weights at models/toy" in err


def test_models_show_tiny_lists_its_words(run):
    _, out, _ = run("models", "show", "tiny")
    assert "looks: photo" in out and "watercolour" in out
