"""Predictions from a calibration of round numbers."""

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_toys import TOKENS, exact, planned, toy_calibration, toy_samples

from lipar_lab.plan.prediction import BlockSeconds, Predictor

STEPS = 3


def predictor(**changes):
    return Predictor(toy_calibration(**changes), STEPS)


def transformer(kept: int, rows: int) -> float:
    """Denoise steps with what is around them, and clean pass."""
    return exact(kept, rows) * (STEPS + 0.1 + 0.5)


@given(kept=st.integers(1, TOKENS), index=st.integers(0, 9))
def test_a_block_takes_its_steps_clean_pass_and_the_autoencoder(kept, index) -> None:
    block = planned(index, kept)
    seconds = predictor().block(block, 0.001)
    assert seconds.transformer == pytest.approx(transformer(kept, block.context_rows), rel=1e-3)
    assert seconds.mask == 0.001
    assert (seconds.encode, seconds.decode) == ((0.05, 0.2) if index == 0 else (0.1, 0.3))
    assert seconds.total == pytest.approx(seconds.transformer + seconds.encode + seconds.decode + 0.001)


def test_a_clip_is_the_sum_of_its_blocks_and_the_warm_up() -> None:
    blocks = [planned(0, TOKENS), planned(1, 40), planned(2, 20)]
    prediction = predictor().predict(blocks)
    pruned = sum(transformer(block.kept, block.context_rows) for block in blocks)
    dense = sum(transformer(TOKENS, block.context_rows) for block in blocks)
    rest = 0.05 + 2 * 0.1 + 0.2 + 2 * 0.3
    assert prediction.seconds == pytest.approx(0.5 + rest + pruned + 3 * 0.004, rel=1e-3)
    assert prediction.dense_seconds == pytest.approx(0.5 + rest + dense, rel=1e-3)
    assert prediction.speedup == pytest.approx(dense / pruned, rel=1e-3)
    assert prediction.whole_speedup == prediction.dense_seconds / prediction.seconds
    assert prediction.frames_per_second == pytest.approx(36 / prediction.seconds)
    assert prediction.dense_frames_per_second == pytest.approx(36 / prediction.dense_seconds)


def test_a_block_without_a_kept_token_is_only_restored() -> None:
    seconds = predictor().block(planned(2, 0), 0.0)
    assert (seconds.denoise, seconds.clean) == (0.002, 0.0)


def test_dense_has_the_rows_of_all_tokens_where_pruned_ones_have_none() -> None:
    sparse = planned(3, 10, context_rows=60)
    prediction = predictor().predict([planned(0, TOKENS), sparse])
    whole = planned(3, TOKENS)
    assert prediction.dense[1] == predictor().block(whole, 0.0)


def test_memory_is_between_the_measured_peaks() -> None:
    at = {
        kept: predictor().predict([planned(0, TOKENS), planned(2, kept)]).peak_bytes
        for kept in (0, 72, 108, 144)
    }
    assert at == {0: 1000, 72: 1000, 108: 1500, 144: 2000}
    assert predictor().predict([planned(0, TOKENS), planned(2, 72)]).dense_peak_bytes == 2000
    longer = planned(30, 72, context_rows=7 * 48 + 100)
    assert predictor().predict([planned(0, TOKENS), longer]).peak_bytes == 1000 + 100 * 10


def test_decoding_of_regions_takes_longer_with_more_tokens() -> None:
    samples = tuple(attrs.evolve(one, decode=one.kept / 100) for one in toy_samples())
    whole, regions = (
        predictor(samples=samples, key=attrs.evolve(toy_calibration().key, decode=kind))
        for kind in ("off", "on")
    )
    few, many = planned(2, 20), planned(2, 130)
    assert whole.block(few, 0.0).decode == whole.block(many, 0.0).decode
    assert regions.block(few, 0.0).decode == pytest.approx(0.2)
    assert regions.block(many, 0.0).decode == pytest.approx(1.3)


def test_a_clip_without_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one block"):
        predictor().predict([])


def test_stages_are_summed_one_by_one() -> None:
    one = BlockSeconds(encode=1.0, mask=2.0, denoise=3.0, clean=4.0, decode=5.0)
    assert BlockSeconds.sum_of([one, one]) == BlockSeconds(encode=2, mask=4, denoise=6, clean=8, decode=10)
    assert one.total == 15 and one.transformer == 7
