"""Locks: who writes a file, and files that grow under one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from output_files import names, write_both

from lipar.files import locks as locks_module
from lipar.files.locks import GrowingFile, check_unlocked
from lipar.files.owner import unfinished_path, write_whole
from lipar.files.places import check_writable
from lipar.video import VideoError

HOLD = """
import sys, time
from pathlib import Path
from lipar.files.owner import Outputs
outputs = Outputs()
outputs.claim(Path(sys.argv[1])).write_text("half")
print("claimed", flush=True)
time.sleep(600)
"""


def test_the_place_of_a_living_run_is_refused_and_that_of_a_killed_one_is_taken(tmp_path: Path) -> None:
    target = tmp_path / "out.mp4"
    command = [sys.executable, "-c", HOLD, str(target)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None and other.stdout.readline() == "claimed\n"
        with pytest.raises(VideoError, match=r"another run is writing there at this moment .*; wait until"):
            check_writable(target)
        with pytest.raises(VideoError, match="another run"):
            write_whole(target, "mine")
        assert unfinished_path(target).read_text() == "half"  # and nothing of the other's was touched
        other.kill()
    assert names(tmp_path) == [".out.partial.mp4"]
    write_whole(target, "mine")
    assert names(tmp_path) == ["out.mp4"] and target.read_text() == "mine"


def test_without_locks_a_file_that_may_be_another_runs_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks_module, "fcntl", None)
    write_both(tmp_path)
    unfinished_path(tmp_path / "out.mp4").write_text("half")
    with pytest.raises(VideoError, match="no locks that would tell; remove it if no other run is writing"):
        check_writable(tmp_path / "out.mp4")
    assert unfinished_path(tmp_path / "out.mp4").read_text() == "half"


def test_an_unfinished_file_is_never_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("precious")
    unfinished_path(tmp_path / "out.mp4").symlink_to(tmp_path / "precious")
    os.link(tmp_path / "precious", unfinished_path(tmp_path / "overlay.mp4"))
    write_both(tmp_path)
    assert (tmp_path / "precious").read_text() == "precious"
    assert names(tmp_path) == ["out.mp4", "overlay.mp4", "precious"]


def test_a_growing_file_is_free_again_when_its_run_has_ended(tmp_path: Path) -> None:
    first, second = GrowingFile(tmp_path / "a"), GrowingFile(tmp_path / "a")
    (tmp_path / "a").write_text("an older and longer file")
    first.begin(b"fir")
    first.append(b"st")
    with pytest.raises(
        VideoError, match=r"another run is writing to .*a at this moment; wait until it has ended"
    ):
        second.begin(b"")
    with pytest.raises(VideoError, match="another run"):
        check_unlocked(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"first"
    first.end()
    check_unlocked(tmp_path / "a")
    second.begin(b"2")
    second.end()
    assert (tmp_path / "a").read_bytes() == b"2"
