"""The stage timer: its spans, and what they add up to."""

from pathlib import Path

import pytest
import torch
from watched_edit import FRAMES, Remember, edit

from lipar.watch.stages import StageTimer, seconds_per_stage


def test_the_spans_that_are_told_add_up_to_the_report(tmp_path: Path) -> None:
    remember = Remember()
    report = edit(tmp_path, remember, frames=60)  # five blocks, of which the last three are run both ways
    spans = [span for spans in remember.spans for span in spans]
    told = seconds_per_stage(spans)
    probed = told.pop("dense probe")
    assert told == pytest.approx(report.stage_seconds)
    assert probed > 0
    for thread in ("model", "reading", "writing"):
        busy = sum(span.seconds for span in spans if span.thread == thread)
        assert 0 < busy <= report.seconds + probed


def test_the_stages_of_a_block_come_in_order_and_in_their_threads(tmp_path: Path) -> None:
    remember = Remember()
    edit(tmp_path, remember)
    spans = [span for spans in remember.spans for span in spans]
    assert {(span.thread, span.stage) for span in spans if span.thread != "model"} == {
        ("reading", "decode"), ("writing", "write"),
    }  # fmt: skip
    assert (
        sum(span.stage == "decode" for span in spans) == FRAMES + 1
    )  # the last finds that there are no more
    first = [(span.stage, span.step) for span in remember.spans[0] if span.thread == "model"]
    assert first == [
        ("wait for frames", None), ("encode", None), ("mask", None), ("DiT", 0), ("DiT", 1), ("restore", None),
        ("clean pass", -1), ("decode to pixels", None), ("wait for the writer", None),
    ]  # fmt: skip


class Event:
    """Stands for a moment on a GPU, which is reached when someone waits for it."""

    now, reached = 0.0, -1.0

    def __init__(self, enable_timing: bool) -> None:
        self.at = Event.now

    def record(self, stream: object) -> None:
        self.at = Event.now

    def query(self) -> bool:
        return self.at <= Event.reached

    def synchronize(self) -> None:
        Event.reached = max(Event.reached, self.at)

    def elapsed_time(self, other: "Event") -> float:
        return 1000 * (other.at - self.at)


def test_spans_that_a_gpu_has_not_reached_come_later_and_nobody_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    timer = StageTimer(torch.device("cuda"))
    for stage in ("encode", "DiT"):
        with timer.measure(stage):
            Event.now += 1
    with timer.measure("write", on_host=True):
        pass
    assert timer.take(wait=False) == []
    Event.reached = 1.0
    assert [(span.stage, span.start, span.seconds) for span in timer.take(wait=False)] == [
        ("encode", 0.0, 1.0)
    ]
    assert [span.stage for span in timer.take()] == ["DiT", "write"]
    assert Event.reached == 2.0 and set(timer.seconds) == {"encode", "DiT", "write"}


def test_each_item_of_an_iterator_is_measured() -> None:
    timer = StageTimer()
    assert list(timer.measure_each("decode", iter("abc"))) == ["a", "b", "c"]
    assert [span.stage for span in timer.take()] == 4 * ["decode"]
