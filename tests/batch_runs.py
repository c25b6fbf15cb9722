"""Runs of `lipar batch` in processes of their own, which are killed: what each output was made by is in its record."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import attrs
from toy_plugin import install_toy, start_lipar

from lipar.batch.record import Record, read_record
from lipar.video import write_synthetic_clip

PATIENCE = 300.0
"""Seconds; a machine that is busy starts Ray and loads torch slowly."""


@attrs.define
class Runs:
    """A folder of clips, and the runs that edit them."""

    folder: Path
    clips: list[Path]
    env: dict[str, str]
    words: list[object]
    """Further arguments of every run."""

    @classmethod
    def make(cls, folder: Path, count: int, words: list[object]) -> "Runs":
        (folder / "in").mkdir()
        (folder / "site").mkdir()
        clips = [
            write_synthetic_clip(
                folder / "in" / f"{number:03}.mp4",
                frames=14 + 12 * (number % 3),
                width=16 + 16 * (number % 4),
                height=32,
                seed=number,
            )
            for number in range(count)
        ]
        return cls(folder, clips, install_toy(folder / "site"), words)

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def arguments(self, *words: object, out: Path | None = None) -> list[object]:
        asked = ["batch", self.folder / "in", "-o", out or self.out, "--prompt", "x", "--model", "toy"]
        return [*asked, "--quiet", *self.words, *words]

    def start(self, *words: object) -> subprocess.Popen[bytes]:
        return start_lipar(self.arguments(*words), self.env, self.log)

    def records(self) -> list[Record]:
        found = [read_record(self.out / clip.name) for clip in self.clips]
        return [record for record in found if record is not None]

    def finished(self) -> int:
        return sum(record.state == "finished" for record in self.records())

    def wait(self, reached: Callable[[], bool], driver: subprocess.Popen[bytes]) -> None:
        """Wait until something is reached; the run must not end before."""
        until = time.monotonic() + PATIENCE
        while not reached():
            assert driver.poll() is None or reached(), self.log.read_text()
            assert time.monotonic() < until, self.log.read_text()
            time.sleep(0.02)

    def kill_worker(self, driver: subprocess.Popen[bytes]) -> None:
        """Kill -9 a process that is editing a clip."""
        killed: list[int] = []

        def killed_one() -> bool:
            for record in self.records():
                pid = int(record.worker.split()[1])
                if record.state == "begun" and pid != driver.pid:
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(pid, signal.SIGKILL)
                        killed.append(pid)
                        return True
            return self.finished() == len(self.clips)

        self.wait(killed_one, driver)

    def hidden(self) -> list[str]:
        """Hidden files other than records."""
        return [
            path.name
            for path in self.out.iterdir()
            if path.name.startswith(".") and not path.name.endswith(".lipar.json")
        ]

    def check_equal(self, other: Path) -> None:
        """Every clip has one output, finished, whole, and the same as in another folder."""
        assert sorted(path.name for path in self.out.glob("*.mp4")) == [clip.name for clip in self.clips]
        assert self.finished() == len(self.clips)
        for clip in self.clips:
            assert (self.out / clip.name).read_bytes() == (other / clip.name).read_bytes(), clip.name
        assert self.hidden() == []
