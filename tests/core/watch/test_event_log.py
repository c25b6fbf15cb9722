"""The log of an edit as JSON lines."""

from pathlib import Path

import pytest
import torch
from watched_edit import FRAMES, Stop, edit, lines

from lipar.hookspecs import hookimpl
from lipar.plugin.host import load_plugins
from lipar.watch.event_log import EventLog


def test_the_log_says_with_what_it_began_what_each_block_did_and_how_it_ended(tmp_path: Path) -> None:
    report = edit(tmp_path, EventLog(tmp_path / "e.jsonl", load_plugins().plugins))
    begin, *blocks, end = lines(tmp_path / "e.jsonl")
    assert [begin["event"], *(b["event"] for b in blocks), end["event"]] == ["begin", *["block"] * 3, "end"]
    assert begin["versions"]["torch"] == torch.__version__
    assert begin["config"]["recovery"]["name"] == "m-degree" and begin["frames"] == FRAMES
    assert [block["block"] for block in blocks] == [0, 1, 2]
    assert [block["scene_begins"] for block in blocks] == [True, False, False]
    assert all(block["kept_fraction"] == block["kept"] / block["tokens"] for block in blocks)
    assert all("DiT" in block["seconds"] for block in blocks)
    assert (end["error"], end["report"]["frames"]) == (None, report.frames)


def test_a_log_line_is_on_the_disk_before_the_next_block_begins(tmp_path: Path) -> None:
    class Look:
        seen: list[int] = []

        @hookimpl
        def lipar_prune(self) -> None:
            self.seen.append(len((tmp_path / "e.jsonl").read_text().splitlines()))

    edit(tmp_path, EventLog(tmp_path / "e.jsonl"), Look())
    assert Look.seen == [1, 2, 3]


def test_the_log_of_an_interrupted_edit_says_what_stopped_it(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="lost the device"):
        edit(tmp_path, EventLog(tmp_path / "e.jsonl"), Stop(RuntimeError("lost the device")))
    begin, block, end = lines(tmp_path / "e.jsonl")
    assert (begin["event"], block["block"]) == ("begin", 0)
    assert end["error"] == "RuntimeError: lost the device"


def test_a_new_log_replaces_the_one_before(tmp_path: Path) -> None:
    (tmp_path / "e.jsonl").write_text("an older run\n")
    edit(tmp_path, EventLog(tmp_path / "e.jsonl"))
    assert len(lines(tmp_path / "e.jsonl")) == 5
