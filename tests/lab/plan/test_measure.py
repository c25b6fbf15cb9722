"""Times of the stages on a toy model."""

from collections import Counter

import pytest
from plan_toys import SIZE, TOKENS, toy_host, toy_model

from lipar.config import build_config
from lipar_lab.plan.measure import (
    GROWING_SHARES,
    SHARES,
    block_count,
    growing_blocks,
    measure_stages,
    measured_config,
    scene,
)

HOST = toy_host()
CONFIG = build_config()


@pytest.fixture(scope="module")
def measured():
    done = []
    model = toy_model()
    times = measure_stages(model, CONFIG, SIZE, host=HOST, repeats=3, done=lambda: done.append(1))
    assert len(done) == block_count(model, CONFIG, 3)
    return times


def test_each_share_is_timed_in_each_round_with_the_whole_context(measured) -> None:
    steady = [sample for sample in measured.samples if sample.steady]
    assert Counter(sample.share for sample in steady) == dict.fromkeys(SHARES, 3)
    assert {sample.rows for sample in steady} == {7 * TOKENS // 3}
    assert all(sample.kept == round(sample.share * TOKENS) for sample in steady)


def test_shorter_contexts_are_timed_too(measured) -> None:
    others = [(sample.share, sample.rows) for sample in measured.samples if not sample.steady]
    assert Counter(others) == Counter([(1.0, TOKENS)] * 3 + [(share, 2 * TOKENS) for share in GROWING_SHARES])


def test_all_times_are_positive(measured) -> None:
    for sample in measured.samples:
        assert min(sample.denoise, sample.clean, sample.rest) > 0
    figures = ("encode_first", "encode", "decode_first", "mask", "nothing_kept", "warm_first", "later_first")
    assert all(getattr(measured, name) > 0 for name in figures)
    assert measured.tokens == TOKENS


def test_a_window_without_limit_has_a_growing_block_as_any() -> None:
    model = toy_model()
    assert growing_blocks(model, CONFIG) == 1
    assert growing_blocks(model, build_config(settings=[{"cache": {"window_frames": 0}}])) == 1
    assert growing_blocks(model, build_config(settings=[{"cache": {"window_frames": 15}}])) == 4
    assert (
        growing_blocks(model, build_config(settings=[{"cache": {"window_frames": 4, "sink_frames": 0}}])) == 0
    )


def test_a_source_that_repeats_is_no_scene_cut() -> None:
    blocks = scene(toy_model(), measured_config(CONFIG), [0.5] * 5, SIZE, HOST)
    assert [block.layout.kept_count for block in blocks] == [TOKENS] + [TOKENS // 2] * 5
