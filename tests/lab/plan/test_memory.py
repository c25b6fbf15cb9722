"""Peak memory, and work in processes of its own."""

import os

from plan_toys import SIZE, TOKENS, toy_config, toy_host, toy_model

from lipar.config import build_config
from lipar_lab.plan.memory import Loading, in_new_process, peak_of


def test_a_peak_is_that_of_a_run_with_the_share() -> None:
    model = toy_model()
    peak = peak_of(model, build_config(), SIZE, 0.5, host=toy_host())
    assert peak.point.kept == TOKENS // 2 and peak.point.peak_bytes > 0
    assert peak.rows == 7 * TOKENS // 3 and peak.first > 0
    # keys rotated and not, and values, of two layers with 24 channels in float32
    assert peak.row_bytes == 3 * 2 * 24 * 4


def test_work_runs_in_another_process() -> None:
    assert in_new_process(os.getpid) != os.getpid()


def test_a_model_is_loaded_by_name_with_a_prompt() -> None:
    loading = Loading(config=toy_config(), device="cpu", dtype="float32")
    model = loading.load(toy_host())
    assert model.prompt
