"""The model's part of an edit."""

import time

import pytest
from plan_toys import SIZE, toy_host, toy_model

from lipar.config import build_config
from lipar.testing.toy import ToyModel
from lipar.video import synthetic_clip
from lipar_lab.plan.model_part import run_model_part

HOST = toy_host()


CONFIG = build_config(settings=[{"prune": {"tau_short": 1e-6, "tau_long": 1e-6}}])
"""Prunes next to nothing, so that the model runs in every block."""


def run(frames=40, model=None, **options):
    source = synthetic_clip(frames, *SIZE)
    return list(run_model_part(model or toy_model(), CONFIG, source, host=HOST, **options))


def test_every_stage_of_every_block_is_timed() -> None:
    blocks = run()
    assert [block.pixel_frames for block in blocks] == [12, 12, 12, 4]
    for block in blocks:
        assert block.steps == 2
        times = [*block.encode, block.mask, block.denoise, block.clean, block.rest, block.decode]
        assert len(times) == 6 and min(times) > 0
        assert block.seconds == pytest.approx(
            block.encode[0] + block.mask + 2 * block.denoise + block.clean + block.rest + block.decode
        )
        assert block.cache_bytes > 0
    assert [block.context_frames for block in blocks] == [3, 6, 7, 7]


def test_blocks_that_are_not_decoded_take_no_time_for_it() -> None:
    assert [block.decode > 0 for block in run(decodes=lambda index: index == 1)] == [
        False,
        True,
        False,
        False,
    ]


def test_a_block_without_a_kept_token_has_no_steps() -> None:
    nothing = build_config(settings=[{"prune": {"tau_short": 100.0, "tau_long": 100.0}}])
    source = synthetic_clip(24, *SIZE)
    first, second = run_model_part(toy_model(), nothing, source, host=HOST)
    assert (first.steps, second.steps) == (2, 0)
    assert (second.denoise, second.clean, second.block_seconds) == (0, 0, second.rest)


def test_reading_is_in_no_stage() -> None:
    def slow():
        time.sleep(3)
        yield from synthetic_clip(12, *SIZE)

    (block,) = run_model_part(toy_model(), build_config(), slow(), host=HOST)
    assert block.seconds < 3


def test_a_model_without_an_autoencoder_is_refused() -> None:
    with pytest.raises(ValueError, match="has no autoencoder"):
        run(model=ToyModel())
