"""The owner of a run's files: they appear together and complete, or not at all, whatever comes in between."""

# what is owned is written inside `pytest.raises`:
# ruff: noqa: PT012

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from output_files import names, write_both

from lipar.files.owner import Outputs, write_whole
from lipar.files.places import check_writable
from lipar.video import VideoError


def test_files_get_their_names_together(tmp_path: Path) -> None:
    with Outputs() as outputs:
        for name in ("out.mp4", "overlay.mp4"):
            outputs.claim(tmp_path / name).write_text(name)
        assert names(tmp_path) == [".out.partial.mp4", ".overlay.partial.mp4"]
        outputs.publish()
        assert names(tmp_path) == ["out.mp4", "overlay.mp4"]
    assert (tmp_path / "overlay.mp4").read_text() == "overlay.mp4"


def test_an_error_leaves_what_was_there_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "out.mp4").write_text("old")
    with pytest.raises(ValueError, match="lost") as caught, Outputs() as outputs:
        outputs.claim(tmp_path / "out.mp4").write_text("half")
        raise ValueError("lost")
    assert names(tmp_path) == ["out.mp4"] and (tmp_path / "out.mp4").read_text() == "old"
    assert caught.value.__notes__ == ["nothing new was left behind, and out.mp4 is as before"]


def test_an_error_after_all_was_published_says_that_it_is_complete(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="late") as caught, Outputs() as outputs:
        outputs.claim(tmp_path / "a.mp4").touch()
        outputs.claim(tmp_path / "b.mp4").touch()
        outputs.publish()
        raise ValueError("late")
    assert caught.value.__notes__ == ["a.mp4 and b.mp4 are complete"]
    assert names(tmp_path) == ["a.mp4", "b.mp4"]


@pytest.mark.parametrize("old", [None, "old"])
def test_all_are_taken_back_when_one_cannot_be_put_in_place(tmp_path: Path, old: str | None) -> None:
    if old is not None:
        (tmp_path / "out.mp4").write_text(old)
    with pytest.raises(VideoError) as caught, Outputs() as outputs:
        for name in ("out.mp4", "overlay.mp4"):
            outputs.claim(tmp_path / name).write_text("new")
        (tmp_path / "overlay.mp4").mkdir()  # no file can take the name of a folder
        outputs.publish()
    assert "directory" in str(caught.value).lower()
    (tmp_path / "overlay.mp4").rmdir()
    assert names(tmp_path) == ([] if old is None else ["out.mp4"])
    assert old is None or (tmp_path / "out.mp4").read_text() == old


def test_files_are_published_on_a_file_system_without_hard_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr("os.link", refuse)
    write_both(tmp_path, "old")
    write_both(tmp_path, "new")
    assert names(tmp_path) == ["out.mp4", "overlay.mp4"]
    assert {path.read_text() for path in tmp_path.iterdir()} == {"new"}
    # and one that was killed between two renamings had set the old file aside
    (tmp_path / "out.mp4").rename(tmp_path / ".out.before.mp4")
    check_writable(tmp_path / "out.mp4")
    assert names(tmp_path) == ["out.mp4", "overlay.mp4"]


EVERYWHERE = """
import json, shutil, signal, sys
from pathlib import Path
from lipar.files.owner import Outputs

folder = Path(sys.argv[1])
OLD = sys.argv[2] == "old"
events = 0

def write_both():
    with Outputs() as outputs:
        for name in ("out.mp4", "overlay.mp4"):
            outputs.claim(folder / name).write_text("new")
        outputs.publish()

def interrupted_at(wanted):
    seen = 0
    def trace(frame, event, argument):
        nonlocal seen
        if not (frame.f_code.co_filename.endswith(FILES) or frame.f_code is write_both.__code__):
            return None
        frame.f_trace_opcodes = True
        seen += event == "opcode" and signal.getsignal(NUMBER) is not signal.SIG_DFL
        if event == "opcode" and seen == wanted:
            sys.settrace(None)
            signal.raise_signal(NUMBER)
        return trace
    sys.settrace(trace)
    try:
        write_both()
    except BaseException as error:
        sys.settrace(None)
        return error
    finally:
        sys.settrace(None)
    return None

FILES = ("files/owner.py", "files/locks.py", "files/signals.py")
NUMBER = signal.Signals[sys.argv[3]]
found = []
at = 0
while True:
    at += 1
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    if OLD:
        for name in ("out.mp4", "overlay.mp4"):
            (folder / name).write_text("old")
    error = interrupted_at(at)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    there = {path.name: path.read_text() for path in folder.iterdir()}
    found.append([type(error).__name__, there, getattr(error, "__notes__", [])])
    if error is None:
        break
print(json.dumps(found))
"""


@pytest.mark.parametrize(
    ("number", "name", "old"), [("SIGINT", "KeyboardInterrupt", "old"), ("SIGTERM", "SignalExit", "none")]
)
def test_a_signal_at_any_instruction_leaves_all_files_or_none_and_a_true_message(
    tmp_path: Path, number: str, name: str, old: str
) -> None:
    command = [sys.executable, "-c", EVERYWHERE, str(tmp_path / "there"), old, number]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    *found, last = json.loads(done.stdout)
    before = {"out.mp4": "old", "overlay.mp4": "old"} if old == "old" else {}
    after = {"out.mp4": "new", "overlay.mp4": "new"}
    assert len(found) > 500 and last == ["NoneType", after, []]
    for error, there, notes in found:
        assert there in (before, after)
        # a signal is passed on as it is where nothing is owned yet or any more
        assert error == name or (error == "EndedBySignal" and not notes)
        if notes:
            assert ("complete" in notes[0]) == (there == after)
    assert any(there == after for _, there, _ in found)


def test_one_place_is_claimed_once(tmp_path: Path) -> None:
    with pytest.raises(VideoError, match="named for two outputs of one run"), Outputs() as outputs:
        outputs.claim(tmp_path / "a.json")
        outputs.claim(tmp_path / "a.json")
    assert names(tmp_path) == []


def test_a_name_as_long_as_the_system_allows_has_room_for_its_unfinished_file(tmp_path: Path) -> None:
    target = tmp_path / ("ä" * 125 + ".json")
    write_whole(target, "all")
    assert target.read_text() == "all"
    with pytest.raises(VideoError, match="File name too long"):
        check_writable(tmp_path / ("a" * 300 + ".mp4"))


def test_a_claimed_file_can_be_rewritten_whole_while_its_place_stays_owned(tmp_path: Path) -> None:
    target = tmp_path / "rows.json"
    with pytest.raises(ValueError, match="stop") as caught, Outputs() as outputs:
        outputs.claim(target)
        for text in ("1", "12"):
            outputs.rewrite(target, text)
            assert target.read_text() == text
        with pytest.raises(VideoError, match="another run"):
            check_writable(target, suffixes=(".json",))
        raise ValueError("stop")
    assert names(tmp_path) == ["rows.json"]
    assert caught.value.__notes__ == [
        "rows.json keeps what was finished; run the same command again to go on"
    ]
