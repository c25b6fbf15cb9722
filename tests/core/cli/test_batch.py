"""The command `lipar batch`, in this process, with a toy model."""

import csv
import json
import os
import signal
import time
from pathlib import Path

import pytest
from batch_toys import rows_of, small_clips
from command_runs import offer_toy, run_command
from output_files import names
from toy_plugin import install_toy, start_lipar

from lipar.batch.record import folder_lock, read_record, record_path
from lipar.cli.batch import by_model
from lipar.config import build_config

TOY = ("--model", "toy", "--resolution", "32x32")


@pytest.fixture
def run(monkeypatch, capsys):
    offer_toy(monkeypatch)
    return lambda *words: run_command(monkeypatch, capsys, "batch", *words, *TOY)


def report(folder: Path) -> list[dict[str, str]]:
    with (folder / "batch.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_manifest_is_edited_and_reported_and_a_second_run_goes_on(run, tmp_path: Path) -> None:
    small_clips(tmp_path, "ab")
    out = tmp_path / "out"
    (tmp_path / "m.csv").write_text(
        "clip,prompt,seed,output,prune.keep\na.mp4,night,3,x/first.mp4,0.5\nb.mp4,,,,\nmissing.mp4,snow,,,\n"
    )
    code, said, error = run(tmp_path / "m.csv", "-o", out, "--prompt", "dusk")
    assert code == 1
    assert said.splitlines()[-1] == "3 clips: 2 edited, 0 there already, 1 failed"
    assert "3 of 3: " in error and "missing.mp4 failed: no such file" in error
    assert "error: 1 of 3 clips failed: " in error
    assert [path.name for path in (out / "x").glob("*.mp4")] == ["first.mp4"]
    lines = report(out)
    assert [line["state"] for line in lines] == ["edited", "edited", "failed"]
    assert [line["prompt"] for line in lines] == ["night", "dusk", "snow"]
    assert [line["settings"] for line in lines] == ["prune.keep=0.5;seed=3", "", ""]
    assert 0 < float(lines[0]["kept_fraction"]) <= 1 and float(lines[0]["time DiT"]) > 0
    assert lines[2]["error"].startswith("no such file") and lines[2]["frames"] == ""
    page = (out / "batch.html").read_text()
    assert "missing.mp4" in page and "Slowest" in page and "Least pruned" in page

    code, said, error = run(tmp_path / "m.csv", "-o", out, "--prompt", "dusk")
    assert code == 1 and said.splitlines()[-1] == "3 clips: 0 edited, 2 there already, 1 failed"
    assert "failed before and was not tried again" in error and "--retry-failed tries them again" in error
    assert report(out)[0]["kept_fraction"] == lines[0]["kept_fraction"]
    small_clips(tmp_path, "z")[0].rename(tmp_path / "missing.mp4")
    code, said, error = run(tmp_path / "m.csv", "-o", out, "--prompt", "dusk", "--retry-failed")
    assert (code, error) == (0, "")
    assert said.splitlines()[-1] == "3 clips: 1 edited, 2 there already, 0 failed"


def test_the_same_report_is_there_as_parquet(run, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    small_clips(tmp_path, "ab")
    assert run(tmp_path / "*.mp4", "-o", tmp_path / "out", "--prompt", "x", "--metrics", "psnr")[0] == 0
    table = parquet.read_table(tmp_path / "out" / "batch.parquet").to_pylist()
    assert [line["frames"] for line in table] == [14, 14] and all(line["psnr"] > 10 for line in table)
    assert list(table[0]) == list(report(tmp_path / "out")[0])
    assert "Worst by PSNR" in (tmp_path / "out" / "batch.html").read_text()


def test_options_hold_for_every_clip_and_a_line_of_the_manifest_stands_over_them(run, tmp_path: Path) -> None:
    small_clips(tmp_path, "ab")
    lines = [{"clip": "a.mp4", "seed": 5, "strength": 0.0}, {"clip": "b.mp4"}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, lines)))
    options = ("--prompt", "x", "--seed", 7, "--dense", "--size", "model", "--codec", "ffv1")
    code, _, error = run(tmp_path / "m.jsonl", "-o", tmp_path / "out", *options)
    assert (code, error) == (0, "")
    first, second = report(tmp_path / "out")
    assert (first["seed"], second["seed"]) == ("5", "7")
    assert first["output"].endswith("a.mkv") and second["kept_fraction"] == "1.0"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("m.csv", "-o", "out", "--set", "prune.keep=7"), 1, "error: prune: keep must lie in"),
        (("m.csv", "a.mp4", "-o", "out"), 2, "m.csv is a manifest, which stands alone; got 2 inputs"),
        (
            ("a.mp4", "-o", "out"),
            2,
            "clips without a manifest (.csv, .jsonl, .parquet) have one prompt; give --prompt",
        ),
        (("m.csv", "-o", "out.mp4"), 1, "several clips are written into a folder, and -o is out.mp4"),
        (("bad.csv", "-o", "out"), 1, "error: bad.csv, line 2, column steps: steps must fall"),
        (("m.csv", "-o", "."), 1, "is one of the clips, which are left as they are"),
        (("m.csv", "-o", "out", "--metrics", "psnr,best"), 1, "no metric named 'best'"),
        (("m.csv", "-o", "out", "--workers", "0"), 2, "must lie in 1..10000"),
        (("none", "-o", "out", "--prompt", "x"), 1, "1 of 1 clip failed: none (no such file: none)"),
        (("empty/", "-o", "out", "--prompt", "x"), 1, "empty holds neither clips nor pictures"),
    ],
)
def test_what_cannot_be_done_is_said_before_anything_runs(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words, code: int, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    small_clips(tmp_path, "a")
    (tmp_path / "empty").mkdir()
    (tmp_path / "m.csv").write_text("clip,prompt\na.mp4,night\n")
    (tmp_path / "bad.csv").write_text('clip,prompt,steps\na.mp4,night,"[1, 2]"\n')
    got, _, error = run(*words)
    assert got == code and said in error
    assert words[0] == "none" or not (tmp_path / "out").exists()


@pytest.mark.parametrize("words", [("--workers", 2), ("--address", "auto"), ("--gpus-per-worker", 0.5)])
def test_without_ray_more_than_one_worker_is_refused_with_what_to_install(
    run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words
) -> None:
    monkeypatch.setattr("lipar.batch.on_ray.has_ray", lambda: False)
    small_clips(tmp_path, "a")
    code, _, error = run(tmp_path / "a.mp4", "-o", tmp_path / "out", "--prompt", "x", *words)
    assert code == 1 and f"{words[0]}" in error and "needs Ray" in error
    assert "pip install 'lipar[batch]'" in error
    code, _, error = run(tmp_path / "a.mp4", "-o", tmp_path / "out", "--prompt", "x", "--workers", 1)
    assert (code, error) == (0, "")


def test_a_second_run_into_the_same_folder_is_refused(run, tmp_path: Path) -> None:
    small_clips(tmp_path, "a")
    (tmp_path / "out").mkdir()
    with folder_lock(tmp_path / "out"):
        code, _, error = run(tmp_path / "a.mp4", "-o", tmp_path / "out", "--prompt", "x")
    assert code == 1 and "another run is writing there at this moment" in error
    assert names(tmp_path / "out") == []


def test_clips_of_one_model_are_edited_together(tmp_path: Path) -> None:
    clips = [tmp_path / f"{name}.mp4" for name in "abcd"]
    rows = [
        row
        for clip, model in zip(clips, ("toy", "tiny", "toy", "tiny"))
        for row in rows_of([clip], tmp_path / "out", config=build_config(settings=[{"adapter": model}]))
    ]
    assert [row.source.stem for row in by_model(rows)] == ["a", "c", "b", "d"]


def test_ctrl_c_ends_cleanly_and_says_how_to_go_on(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "site").mkdir()
    clips = small_clips(tmp_path / "in", "ab", frames=14) + small_clips(tmp_path / "in", "c", frames=2000)
    env, out, log = install_toy(tmp_path / "site"), tmp_path / "out", tmp_path / "log"
    command = ["batch", tmp_path / "in", "-o", out, "--prompt", "x", *TOY]
    process = start_lipar(command, env, log)
    until = time.monotonic() + 300
    while (record := read_record(out / "c.mp4")) is None or record.state != "begun":
        assert time.monotonic() < until and process.poll() is None, log.read_text()
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(300) == 130
    last = log.read_text().splitlines()[-1]
    assert last.startswith("interrupted; ")
    assert last.endswith("2 of 3 clips are finished; run the same command again to go on")
    assert not record_path(out / "c.mp4").exists()
    assert [line["state"] for line in report(out)] == ["edited", "edited", "not reached"]
    assert {path.name for path in out.iterdir() if not path.name.startswith("batch")} == {
        *(clip.name for clip in clips[:2]),
        *(record_path(out / clip.name).name for clip in clips[:2]),
    }
