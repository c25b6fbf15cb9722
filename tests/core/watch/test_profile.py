"""The table of stages and the trace."""

import json
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from watched_edit import Stop, edit

from lipar.events import Span
from lipar.video import PixelFrame, VideoWriter, synthetic
from lipar.watch.profile import Profile


def test_the_table_has_every_stage_and_the_whole_time(tmp_path: Path) -> None:
    profile = Profile()
    report = edit(tmp_path, profile, frames=60)
    *rows, whole = [line.split() for line in profile.table().splitlines()[1:-1]]
    assert {"DiT", "decode", "encode", "mask", "restore", "write", "wait"} <= {row[0] for row in rows}
    assert whole[0] == "whole" and float(whole[1]) >= report.seconds - 0.1
    # stages of the model alone follow one another; those of reading and writing overlap with them
    beside = {"decode", "write"}
    shares = [float(row[row.index("%") - 1]) for row in rows if row[0] not in beside or row[1] == "to"]
    assert 0 < sum(shares) <= 100 + 0.1 * len(shares)


def test_mean_and_longest_are_those_of_the_spans() -> None:
    profile = Profile()
    times = [(0.0, 1.0), (1.0, 3.0)]
    spans = [Span(stage="DiT", start=a, seconds=b, step=i) for i, (a, b) in enumerate(times)]
    profile.lipar_edit_ended(spans)
    assert profile.table().splitlines()[1].split() == ["DiT", "100.0", "%", "4.00", "2", "2000.00", "3000.00"]


def test_the_trace_is_json_whose_events_nest_block_stage_step(tmp_path: Path) -> None:
    edit(tmp_path, Profile(tmp_path / "trace.json"))
    events = json.loads((tmp_path / "trace.json").read_text())
    assert {event["ph"] for event in events} == {"M", "X", "C"}
    spans = [event for event in events if event["ph"] == "X"]

    def inside(name: str) -> list[str]:
        outer = next(span for span in spans if span["name"] == name)
        begin, end = outer["ts"], outer["ts"] + outer["dur"]
        same_row = [span for span in spans if span["tid"] == outer["tid"] and span is not outer]
        within = [s for s in same_row if begin <= s["ts"] and s["ts"] + s["dur"] <= end + 0.2]
        return [span["name"] for span in within]

    assert {"encode", "DiT", "step 0", "step 1", "clean pass", "decode to pixels"} <= set(inside("block 0"))
    assert inside("DiT") == ["step 0", "step 1"]
    assert next(event["args"]["kept fraction"] for event in events if event["ph"] == "C") == 1.0


def test_the_trace_shows_that_frames_are_read_and_written_while_the_model_works(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # slower than the model, so that it is at work whenever the model is
    write, clip = VideoWriter.write_picture, synthetic.synthetic_clip

    def write_slowly(*arguments: object, **options: object) -> None:
        time.sleep(0.02)
        write(*arguments, **options)

    def read_slowly(*arguments: int) -> Iterator[PixelFrame]:
        for frame in clip(*arguments):
            time.sleep(0.02)
            yield frame

    monkeypatch.setattr(VideoWriter, "write_picture", write_slowly)
    monkeypatch.setattr(synthetic, "synthetic_clip", read_slowly)
    edit(tmp_path, Profile(tmp_path / "trace.json"), frames=60)
    events = json.loads((tmp_path / "trace.json").read_text())
    rows = {event["tid"]: event["args"]["name"] for event in events if event["name"] == "thread_name"}
    assert list(rows.values()) == ["model", "reading", "writing", "waiting"]
    times = {
        row: [(e["ts"], e["ts"] + e["dur"]) for e in events if e["ph"] == "X" and rows[e["tid"]] == row]
        for row in rows.values()
    }
    blocks = [(e["ts"], e["ts"] + e["dur"]) for e in events if e["name"].startswith("block ")]
    for one, next_one in pairwise(blocks):
        assert one[1] <= next_one[0] + 0.2
    for row in ("reading", "writing"):
        assert any(
            begin < end_of and begin_of < end for begin, end in times[row] for begin_of, end_of in blocks[1:]
        )


def test_the_trace_of_an_interrupted_edit_holds_the_blocks_that_were_done(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        edit(tmp_path, Profile(tmp_path / "trace.json"), Stop(KeyboardInterrupt()))
    names = {event["name"] for event in json.loads((tmp_path / "trace.json").read_text())}
    assert "block 0" in names and "block 1" not in names
