"""The stage timer: its spans, and what they add up to."""

from pathlib import Path

import pytest
from watched_edit import Remember, edit

from lipar.watch.stages import seconds_per_stage


def test_the_spans_that_are_told_add_up_to_the_report(tmp_path: Path) -> None:
    remember = Remember()
    report = edit(tmp_path, remember, frames=60)  # five blocks, of which the last three are run both ways
    told = seconds_per_stage(span for spans in remember.spans for span in spans)
    probed = told.pop("dense probe")
    assert told == pytest.approx(report.stage_seconds)
    assert probed > 0
    assert sum(told.values()) <= report.seconds + probed


def test_a_span_of_the_dit_knows_its_step(tmp_path: Path) -> None:
    remember = Remember()
    edit(tmp_path, remember)
    first = [(span.stage, span.step) for span in remember.spans[0]]
    assert first == [
        ("decode", None), ("encode", None), ("mask", None), ("DiT", 0), ("DiT", 1), ("restore", None),
        ("clean pass", -1), ("decode to pixels", None), ("write", None),
    ]  # fmt: skip
