"""The numbers of an edit."""

import pytest
import torch

from lipar.editing.tally import EditTally
from lipar.events import EditReport
from lipar.job import RestoredBlock
from lipar.layout import TokenLayout
from lipar.watch.stages import PROBE

SPANS = [(0, 4), (4, 8), (8, 12)]


def block(kept: list[int], first_frame: int = 0, dense_seconds: float | None = None) -> RestoredBlock:
    """A block of 3 frames of 2 x 2 tokens, of which so many are kept in each."""
    mask = torch.stack([torch.arange(4).view(2, 2) < count for count in kept])
    return RestoredBlock(
        latents=torch.zeros(1, 3, 4, 4, 4),
        layout=TokenLayout(mask, first_frame=first_frame, has_history=first_frame > 0),
        first_frame=first_frame,
        seconds=1.0,
        dense_seconds=dense_seconds,
    )


def report_of(
    tally: EditTally, stage_seconds: dict[str, float] | None = None, seconds: float = 1.0
) -> EditReport:
    return tally.report(
        source_size=(80, 48),
        processed_size=(64, 32),
        stage_seconds=stage_seconds or {},
        seconds=seconds,
        engine="eager (as asked)",
    )


def test_kept_fractions_leave_out_what_only_fills_up_the_last_block() -> None:
    tally = EditTally()
    tally.add(block([4, 4, 4]), SPANS, written=12, cut=None)
    tally.add(block([1, 3, 4], first_frame=3), [(12, 16), (16, 20), (20, 24)], written=5, cut=None)
    report = report_of(tally)
    assert (report.frames, report.blocks) == (17, 2)
    assert report.kept_fraction == pytest.approx((12 + 1 + 3) / 20)
    assert report.steady_kept_fraction == pytest.approx((1 + 3) / 8)


def test_dense_probes_give_the_speed_up_and_are_in_no_other_time() -> None:
    tally = EditTally()
    for index, dense in enumerate([None, 2.5, 3.0, 3.5]):
        tally.add(block([4, 2, 0], 3 * index, dense), SPANS, written=12, cut=None)
    report = report_of(tally, {"DiT": 4.0, PROBE: 10.0}, 20.0)
    assert (report.seconds, report.stage_seconds) == (10.0, {"DiT": 4.0})
    assert (report.speedup, report.speedup_range, report.probed_blocks) == (3.0, (2.5, 3.5), 3)
    assert report.probe_seconds == 10.0
    assert report.probed_kept_fraction == 0.5


def test_the_time_of_a_dense_edit_is_estimated_only_where_the_speed_up_is_certain() -> None:
    for probes, dense in (([None, 2.5, 3.0, 3.5], 10.0 + 3 * 2.0), ([None, None, 3.0, 3.5], None)):
        tally = EditTally()
        for index, dense_seconds in enumerate(probes):
            kept = [4, 4, 4] if index == 0 else [4, 2, 0]
            tally.add(block(kept, 3 * index, dense_seconds), SPANS, written=12, cut=None)
        assert report_of(tally, {PROBE: 9.0}, 19.0).dense_seconds == dense


def test_an_edit_without_blocks_or_without_a_second_block_has_no_steady_fraction() -> None:
    tally = EditTally()
    assert report_of(tally).kept_fraction == 0
    tally.add(block([4, 4, 4]), SPANS, written=12, cut=None)
    report = report_of(tally)
    assert report.steady_kept_fraction is None and report.probed_kept_fraction is None


def test_scene_cuts_are_listed_in_their_order() -> None:
    tally = EditTally()
    for cut in (None, 12, 36):
        tally.add(block([4, 4, 4]), SPANS, written=12, cut=cut)
    assert report_of(tally).scene_cuts == (12, 36)
