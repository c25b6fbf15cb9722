"""What is printed of a plan."""

from pathlib import Path

import attrs
import pytest
from plan_toys import SIZE, TOKENS, planned, toy_calibration, toy_samples

from lipar_lab.plan.clip import ClipPlan
from lipar_lab.plan.prediction import Predictor
from lipar_lab.plan.target import Target
from lipar_lab.plan.text import (
    SHOWN_BLOCKS,
    busy_lines,
    calibration_lines,
    clip_lines,
    measured_lines,
    prediction_lines,
    target_lines,
)

PREDICTOR = Predictor(toy_calibration(), 3)


def plan(*blocks):
    return ClipPlan(
        path=Path("clip.mp4"),
        size=SIZE,
        shown_size=(640, 480),
        first_block_frames=12,
        block_frames=12,
        blocks=list(blocks) or [planned(0, TOKENS), planned(1, 72), planned(2, 36, cut=True)],
    )


def text(lines):
    return "\n".join(lines)


def test_blocks_are_listed_with_what_they_keep_and_their_seconds() -> None:
    made = plan()
    shown = clip_lines(made, PREDICTOR.predict(made.blocks))
    assert "36 frames of 640x480, processed at 64x48 in 3 blocks" in shown[0]
    assert "50.0%" in shown[3] and f"{PREDICTOR.predict(made.blocks).blocks[1].total:.3f}" in shown[3]
    assert shown[4].endswith("scene cut")
    assert "kept 58.3% of the tokens, 37.5% after the first block of each scene" in shown


def test_without_a_prediction_there_are_no_seconds() -> None:
    assert "seconds" not in text(clip_lines(plan(), None))


def test_of_a_long_clip_the_middle_is_left_out() -> None:
    blocks = [planned(index, 72) for index in range(SHOWN_BLOCKS + 10)]
    shown = clip_lines(plan(*blocks), None)
    assert "  ... 10 more, all of them with --json" in shown
    assert sum(" 50.0%" in line and "12" in line for line in shown) <= SHOWN_BLOCKS + 1


def test_a_clip_of_one_block_has_nothing_to_prune() -> None:
    short = planned(0, TOKENS, pixel_frames=(0, 5))
    shown = text(clip_lines(plan(short), None))
    assert "not longer than one block, which is computed in full: there is nothing to prune" in shown
    assert "copies of the last frame fill up the last block: 7 of its 12 frames" in shown


def test_the_prediction_names_each_kind_of_block_and_what_is_not_counted() -> None:
    made = plan()
    shown = text(prediction_lines(made, PREDICTOR.predict(made.blocks), PREDICTOR))
    for part in (
        "first block of a scene",
        "growing context",
        "whole context",
        "3 denoise steps",
        "frames/s",
        "peak memory",
        "not counted: loading the model, about 2.0 s",
        "2026-11-26 12:00 UTC",
    ):
        assert part in shown


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (
            Target(keep=None, reached=True, best_keep=None, frames_per_second=30.0),
            "nothing needs to be pruned",
        ),
        (
            Target(keep=None, reached=False, best_keep=0.01, frames_per_second=9.0),
            "cannot be reached by pruning; the best is 9.00: --set prune.keep=0.01",
        ),
        (
            Target(keep=None, reached=False, best_keep=None, frames_per_second=9.0),
            "the best is 9.00: --dense",
        ),
        (
            Target(keep=0.42, reached=True, best_keep=0.42, frames_per_second=24.1),
            "--set prune.keep=0.42, which keeps 58.3%",
        ),
    ],
)
def test_a_target_is_answered_with_the_settings(found: Target, said: str) -> None:
    made = plan()
    now = PREDICTOR.predict(made.blocks)
    chosen = None if found.best_keep is None else made
    assert said in text(target_lines(24.0, found, chosen, now, []))


def test_settings_that_are_replaced_are_named() -> None:
    made = plan()
    found = Target(keep=0.42, reached=True, best_keep=0.42, frames_per_second=24.1)
    shown = text(target_lines(24.0, found, made, PREDICTOR.predict(made.blocks), ["prune.quantile"]))
    assert "without prune.quantile, which it replaces" in shown


def test_a_calibration_is_shown_with_the_errors_of_both_forms() -> None:
    shown = text(calibration_lines(toy_calibration(), PREDICTOR))
    assert "denoise step" in shown and "linear 0.0% (at most 0.0%)" in shown and "piecewise" in shown


def test_what_was_measured_is_listed_by_kept_tokens() -> None:
    shown = measured_lines(toy_calibration())
    assert sum("kept   " in line and "rows" in line for line in shown) == len(toy_samples())
    assert not busy_lines(toy_calibration())


def test_a_busy_machine_is_said() -> None:
    samples = [
        attrs.evolve(one, denoise=one.denoise * factor) for one in toy_samples() for factor in (1, 1.3)
    ]
    assert "differ by 30%" in text(measured_lines(toy_calibration(samples=tuple(samples))))
