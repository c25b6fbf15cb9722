"""Commands killed at random moments: no half file, no lost row, no traceback, and messages that are true.

`tox -e slow` runs it, or `pytest -m slow -n 0 tests/core/files/test_kills.py -s`; at the end it counts what was
killed.
"""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import attrs
import numpy as np
import pytest
from toy_plugin import install_toy
from wan_toys import write_motion_folder

from lipar.files.places import check_writable
from lipar.video import VideoReader, write_synthetic_clip

KILLS = {"edit": 60, "compare": 30, "ttm": 12, "fresh edit": 12}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
FRAMES = 50

# Imports take seconds, and a kill most often falls into the longest part. So one process imports, and each command runs
# in a fork of it; `fresh edit` alone begins with the interpreter.
SERVER = """
import json, os, signal, sys
import lipar_adapters.time_to_move.run, lipar.cli.summary, lipar_lab.compare.run, lipar_adapters.time_to_move.report
import lipar.video.reader, lipar_adapters.time_to_move.motion_folder
import lipar.watch.event_log, lipar.watch.progress, lipar.watch.masks
from lipar.cli import main
print("ready", flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    # what is killed is lipar, not these lines
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
    child = os.fork()
    if child == 0:
        os.close(0)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.argv = asked["argv"]
        code = 0
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})
            main()
        except SystemExit as ended:
            code = ended.code or 0
        except KeyboardInterrupt:  # just before, or just after
            code = 130
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        sys.stdout.flush()
        os._exit(code)
    print(child, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@attrs.define
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str
    seconds: float


class Commands:
    """Runs commands, each in a process of its own, and kills them after a time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = install_toy(folder)
        self.server = subprocess.Popen(
            [sys.executable, "-c", SERVER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=self.env,
        )
        assert self.answer() == "ready"

    def answer(self) -> str:
        assert self.server.stdout is not None
        return self.server.stdout.readline().strip()

    def run(
        self,
        argv: list[str],
        *,
        number: int = signal.SIGKILL,
        after: float | None = None,
        fresh: bool = False,
    ) -> Ended:
        out, err = self.folder / "stdout", self.folder / "stderr"
        start = time.monotonic()
        if fresh:
            command = [sys.executable, "-c", "from lipar.cli import main; main()", *argv[1:]]
            with out.open("w") as o, err.open("w") as e:
                process = subprocess.Popen(command, stdout=o, stderr=e, env=self.env)
            pid = process.pid
        else:
            asked = {"argv": argv, "out": str(out), "err": str(err)}
            assert self.server.stdin is not None
            self.server.stdin.write(json.dumps(asked) + "\n")
            self.server.stdin.flush()
            pid = int(self.answer())
        if after is not None:
            time.sleep(after)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)
        code = process.wait() if fresh else int(self.answer())
        return Ended(code, out.read_text(), err.read_text(), time.monotonic() - start)


@pytest.fixture(scope="module")
def commands(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Commands]:
    made = Commands(tmp_path_factory.mktemp("said"))
    yield made
    assert made.server.stdin is not None
    made.server.communicate(timeout=60)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("clips")
    return [write_synthetic_clip(folder / f"{n}.mp4", frames=FRAMES, width=80, height=48) for n in "ab"]


def hidden(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def is_whole(path: Path, frames: int) -> bool:
    with VideoReader(path) as reader:
        return sum(1 for _ in reader) == frames


def check_end(ended: Ended, number: int) -> None:
    """The code is that of the signal, or of a command that was faster; nobody sees a traceback."""
    # -15: before the owner of the files answers it; -2: while Python itself starts up or shuts down
    expected = {signal.SIGINT: (0, 130, -2), signal.SIGTERM: (0, 143, -15), signal.SIGKILL: (0, -9)}[number]
    assert ended.code in expected, ended
    if ended.code == -2 and "lipar" not in ended.err:
        return
    assert ended.code != -2 or ended.out.endswith("\n")
    assert "Traceback" not in ended.err and "Exception ignored" not in ended.err, ended.err


def check_videos(targets: list[Path], ended: Ended, number: int, old: bytes | None, frames: int) -> str:
    """All are complete, or all as before; gives which."""
    states = set()
    for target in targets:
        there = target.read_bytes() if target.exists() else None
        states.add("before" if there == old else "complete" if is_whole(target, frames) else "half")
    if number == signal.SIGKILL:
        assert "half" not in states
        for target in targets:
            check_writable(target)  # as the next run does, which removes what was left
    else:
        assert len(states) == 1 and "half" not in states, states
    assert hidden(targets[0].parent) == []
    state = "/".join(sorted(states))
    if ended.code == 130 and ("complete" in ended.err or "left behind" in ended.err):
        assert ("complete" in ended.err) == (state == "complete"), ended.err
    assert ended.code != 0 or state == "complete"
    return state


def check_watched(folder: Path) -> None:
    """A log has whole lines up to the last, and recorded masks can be read."""
    if (folder / "e.jsonl").exists():
        *lines, last = (folder / "e.jsonl").read_text().split("\n")
        assert all(json.loads(line)["event"] for line in lines) and last == ""
    if (folder / "m.npy").exists() and (folder / "m.npy").stat().st_size:  # empty: killed as it was made
        assert np.load(folder / "m.npy").shape[0] % 3 == 0


@pytest.mark.slow
def test_kills_at_random_moments_leave_whole_files_and_true_messages(
    commands: Commands, clips: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(14)
    counts: Counter[str] = Counter()
    toy = ["--prompt", "x", "--set", "adapter=toy"]

    def edit_of(folder: Path) -> list[str]:
        there = [*("-o", str(folder / "out.mp4")), *("--overlay", str(folder / "ov.mp4"))]
        watched = [*("--log", str(folder / "e.jsonl")), *("--record-masks", str(folder / "m.npy"))]
        return ["lipar", "edit", str(clips[0]), *toy, *there, *watched]

    motion = write_motion_folder(tmp_path / "motion", frames=9, prompt="a ball")

    def ttm_of(folder: Path) -> list[str]:
        there = [*("-o", str(folder / "out.mp4")), *("--sheet", str(folder / "ov.png"))]
        small = ["--steps", "3", "--tweak", "1", "--tstrong", "2", "--size", "64x64"]
        return ["lipar", "ttm", str(motion), *there, *small]

    def compare_of(folder: Path) -> list[str]:
        return ["lipar", "compare", *map(str, clips), *toy, "--json", str(folder / "rows.json")]

    of = {"edit": edit_of, "fresh edit": edit_of, "ttm": ttm_of, "compare": compare_of}
    for name, kills in KILLS.items():
        fresh = name.startswith("fresh")
        folder = tmp_path / name
        folder.mkdir()
        whole = commands.run(of[name](folder), fresh=fresh)
        assert whole.code == 0, whole
        for kill in range(kills):
            number = SIGNALS[kill % len(SIGNALS)]
            folder = tmp_path / f"{name} {kill}"
            folder.mkdir()
            old = b"old" if kill % 2 else None
            targets = [folder / "out.mp4"] + ([folder / "ov.mp4"] if "edit" in name else [])
            for target in targets:
                if old is not None and name != "compare":
                    target.write_bytes(old)
            after = chance.uniform(0, 1.05) * whole.seconds
            ended = commands.run(of[name](folder), number=number, after=after, fresh=fresh)
            check_end(ended, number)
            if name == "compare":
                state = _check_rows(folder, commands, of[name](folder), again=kill % 3 == 0)
            else:
                state = check_videos(targets, ended, number, old, 9 if name == "ttm" else FRAMES)
                check_watched(folder)
            counts[f"{name}: {signal.Signals(number).name}, {state}"] += 1
    with capsys.disabled():
        print(f"\n{sum(counts.values())} kills")
        for what, count in sorted(counts.items()):
            print(f"  {count:3} {what}")
    assert sum(counts.values()) >= 100


def _check_rows(folder: Path, commands: Commands, argv: list[str], *, again: bool) -> str:
    file = folder / "rows.json"
    kept = json.loads(file.read_text()) if file.exists() else []
    assert all(row["variant"] and row["bound_to"] for row in kept) and len(kept) <= 4
    if again:
        ended = commands.run(argv)
        assert ended.code == 0 and json.loads(file.read_text())[: len(kept)] == kept
        assert not kept or f"{len(kept)} of 4 rows had been kept" in ended.out
    check_writable(file, suffixes=(".json",))
    assert hidden(folder) == []
    return f"{len(kept)} of 4 rows kept"
