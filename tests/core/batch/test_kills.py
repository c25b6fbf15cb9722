"""Two hundred clips on two nodes of Ray, while workers, raylets and drivers are killed at random moments.

`tox -e slow` runs it, or `pytest -m slow -n 0 tests/core/batch/test_kills.py -s`; at the end it counts what was killed.
"""

import os
import random
import signal
from collections import Counter
from pathlib import Path

import pytest
import torch
from batch_runs import Runs
from command_runs import run_command
from scene_clips import clip_of_scenes, frames_of

from lipar.batch.on_ray import has_ray
from lipar.batch.piece_files import PieceFiles, pieces_folder
from lipar.batch.record import read_record

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not has_ray(), reason="Ray is not installed")]

CLIPS = 200
KILLS = 10
LONG = (16, 36, 8, 28) * 12
"""Frames of scenes; of two cuts in one block, only the second begins a piece."""


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Whatever is put into the environment is taken out again."""
    for name in ("PYTHONPATH", "OMP_NUM_THREADS", "RAY_USAGE_STATS_ENABLED", "RAY_BACKEND_LOG_LEVEL"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


def test_every_clip_is_done_once_whatever_is_killed(
    tmp_path: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ray_nodes import two_nodes

    chance = random.Random(21)
    runs = Runs.make(tmp_path, CLIPS, ["--resolution", "32x32"])
    poison = tmp_path / "in" / "poison.mp4"
    poison.write_bytes(b"no video")
    killed: Counter[str] = Counter()
    with two_nodes(runs.env) as nodes:
        on_cluster = ("--address", nodes.address, "--workers", 2)
        driver = runs.start(*on_cluster)
        kinds = [kind for _ in range(KILLS) for kind in ("worker", "raylet", "driver")][:KILLS]
        chance.shuffle(kinds)
        for number, kind in enumerate(kinds, 1):
            moment = CLIPS * number // (KILLS + 1) + chance.randrange(CLIPS // KILLS // 2)
            runs.wait(lambda at=moment: runs.finished() >= at, driver)
            killed[kind] += 1
            if kind == "worker":
                runs.kill_worker(driver)
            elif kind == "raylet":
                nodes.kill_raylet()
            else:
                driver.kill()
                driver.wait()
                driver = runs.start(*on_cluster)
        assert driver.wait(600) == 1, runs.log.read_text()
    environment.syspath_prepend(tmp_path / "site")
    code, said, _ = run_command(environment, capsys, *runs.arguments())
    assert said.splitlines()[-1] == f"{CLIPS + 1} clips: 0 edited, {CLIPS} there already, 1 failed"
    assert code == 1
    run_command(environment, capsys, *runs.arguments(out=tmp_path / "alone"))
    runs.check_equal(tmp_path / "alone")
    record = read_record(runs.out / poison.name)
    assert record is not None and record.state == "failed"
    edited = runs.log.read_text().count(" -> ")
    with capsys.disabled():
        print(f"\nkilled: {dict(killed)}; {edited} edits of {CLIPS} clips were told")
    # a clip whose worker or driver was killed before it told so is there already when it is looked at again
    assert edited <= CLIPS


def piece_workers(output: Path) -> set[str]:
    """The workers that edit pieces at this moment."""
    records = [read_record(path) for path in pieces_of(output)]
    return {record.worker for record in records if record is not None}


def pieces_of(output: Path) -> list[Path]:
    files = PieceFiles(output=output, key="")
    return [files.edited_path(index) for index in range(len(LONG))]


def kill_owner(output: Path) -> None:
    """Kill -9 the worker that owns the clip."""
    record = read_record(output)
    assert record is not None
    os.kill(int(record.worker.split()[1]), signal.SIGKILL)


def test_a_clip_in_pieces_is_the_whole_clip_whatever_is_killed(
    tmp_path: Path, environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from ray_nodes import two_nodes

    runs = Runs.make(tmp_path, 0, ["--resolution", "32x32", "--codec", "ffv1"])
    clip = clip_of_scenes(tmp_path / "in" / "a.mkv", LONG, side=32)
    output = runs.out / clip.name
    workers: set[str] = set()

    def edited_pieces() -> int:
        workers.update(piece_workers(output))
        return len(list(pieces_folder(output).glob("*.edited.safetensors")))

    with two_nodes(runs.env) as nodes:
        words = ("--address", nodes.address, "--workers", 2, "--split", "scenes")
        driver = runs.start(*words)
        runs.wait(lambda: edited_pieces() >= 6, driver)
        kill_owner(output)
        runs.wait(lambda: edited_pieces() >= 12 or output.exists(), driver)
        nodes.kill_raylet(replace=False)
        runs.wait(lambda: edited_pieces() >= 18 or output.exists(), driver)
        driver.kill()
        driver.wait()
        driver = runs.start(*words)
        assert driver.wait(600) == 0, runs.log.read_text()
    environment.syspath_prepend(tmp_path / "site")
    code, _, error = run_command(environment, capsys, *runs.arguments(out=tmp_path / "alone"))
    assert (code, error) == (0, "")
    assert torch.equal(frames_of(output), frames_of(tmp_path / "alone" / clip.name))
    record = read_record(output)
    assert record is not None and (record.pieces or 0) > len(LONG) / 2
    assert runs.hidden() == []
    assert len(workers) > 1


def test_ctrl_c_ends_workers_of_ray_and_leaves_only_whole_files(tmp_path: Path) -> None:
    runs = Runs.make(tmp_path, 40, ["--resolution", "32x32"])
    driver = runs.start("--workers", 2)
    runs.wait(lambda: runs.finished() >= 3, driver)
    driver.send_signal(signal.SIGINT)
    assert driver.wait(300) == 130, runs.log.read_text()
    last = runs.log.read_text().splitlines()[-1]
    assert last.startswith("interrupted; ") and last.endswith("run the same command again to go on")
    assert runs.hidden() == [] and all(record.state == "finished" for record in runs.records())
    assert len(list(runs.out.glob("[0-9]*.mp4"))) == runs.finished() < len(runs.clips)
