"""Predicted versus measured."""

from contextlib import ExitStack
from pathlib import Path

import attrs
import pytest
from plan_toys import SIZE, planned, toy_calibration, toy_clip, toy_host, toy_model

from lipar.config import build_config
from lipar_lab.plan.calibrate import calibrate_model
from lipar_lab.plan.check import Check, Measured, MeasuredBlock, measure_edit, reference_of
from lipar_lab.plan.clip import ClipPlan, ClipReader
from lipar_lab.plan.prediction import Predictor

HOST = toy_host()


def measured(seconds: float, kept: int = 72) -> Measured:
    block = MeasuredBlock(kept=kept, encode=0.1, mask=0.0, denoise=seconds - 0.4, clean=0.1, decode=0.2)
    return Measured(blocks=(block,), peak_bytes=800, reference=(3.0, 1.0, 2.0))


def check(seconds: float, **options) -> Check:
    predictor = Predictor(toy_calibration(warm_up=0.0), 3)
    plan = ClipPlan(
        path=Path("clip.mp4"),
        size=SIZE,
        shown_size=SIZE,
        first_block_frames=12,
        block_frames=12,
        blocks=[planned(1, 72)],
    )
    prediction = predictor.predict(plan.blocks)
    return Check(
        plan=plan,
        prediction=prediction,
        measured=measured(seconds * prediction.seconds, **options),
        reference=1.0,
    )


def test_errors_are_predicted_over_measured() -> None:
    found = check(2.0)
    assert found.error == pytest.approx(-0.5)
    assert found.memory_error == pytest.approx(1000 / 800 - 1)
    assert found.transformer_error < 0


def test_the_reference_tells_how_fast_the_machine_is_now() -> None:
    found = check(2.0)
    assert found.slower_now == 2.0
    assert found.error_at_this_speed == pytest.approx(0.0)


def test_other_tokens_than_planned_are_noticed() -> None:
    assert check(1.0).same_tokens
    assert not check(1.0, kept=71).same_tokens


def test_a_clip_is_measured_and_keeps_what_was_planned(tmp_path: Path) -> None:
    clip, config = toy_clip(tmp_path / "clip.mp4"), build_config(settings=[{"prune": {"keep": 0.3}}])
    with ExitStack() as stack:
        plan = ClipReader(clip, toy_model(), SIZE, stack).plan(config, host=HOST, quiet=True)
    found = measure_edit(toy_model(), config, clip, SIZE, host=HOST)
    assert [block.kept for block in found.blocks] == [block.kept for block in plan.blocks]
    assert found.seconds > 0 and found.peak_bytes > 0 and len(found.reference) == 2


def test_the_reference_is_a_dense_block_with_the_whole_context() -> None:
    made = calibrate_model(toy_model(), build_config(), SIZE, host=HOST, repeats=2, load=0.0, quiet=True)
    predictor = Predictor(made, 2)
    plan = attrs.evolve(check(1.0).plan)
    block = attrs.evolve(planned(2, made.tokens))
    assert reference_of(predictor, plan) == pytest.approx(predictor.block(block, made.mask).total)
