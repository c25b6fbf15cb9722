"""The stream of random blocks is in steady state, and each block has the mask that it is given."""

import pytest
import torch

from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.stream import BlockStream, bench_config


@pytest.mark.parametrize("window", ["full", "trimmed"])
def test_a_stream_stays_in_steady_state(bench_model, window):
    stream = BlockStream(bench_model, bench_config(bench_model.shape, window, "video-to-video", steps=(400,)))
    stream.fill_window()
    cache = stream.scheduler.job.cache
    for fraction in (1.0, 0.5, 0.25):
        mask = random_mask(stream.grid, fraction)
        assert torch.equal(stream.run(mask).layout.keep_mask, mask)
        assert len(cache.frames) == stream.context_frames == (6 if window == "full" else 7)
        assert cache.rows == stream.context_frames * bench_model.shape.tokens_per_frame


def test_a_video_that_is_kept_as_a_whole_evicts_nothing(bench_model):
    config = bench_config(bench_model.shape, "full", "video-to-video", keep_whole_video=True, steps=(400,))
    stream = BlockStream(bench_model, config)
    stream.prefill(5)
    assert len(stream.scheduler.job.cache.frames) == 5 * bench_model.shape.block_frames


def test_prefilled_blocks_do_not_run_the_model(bench_model):
    stream = BlockStream(bench_model, bench_config(bench_model.shape, "trimmed", "video-to-video"))
    calls = []
    handle = bench_model.transformer.register_forward_pre_hook(lambda *_: calls.append(1))
    stream.fill_window()
    assert not calls
    stream.run(random_mask(stream.grid, 0.5))
    handle.remove()
    assert calls


def test_tasks_differ_in_their_steps(bench_model):
    edit, text = (
        bench_config(bench_model.shape, "trimmed", task) for task in ("video-to-video", "text-to-video")
    )
    assert edit.strength == 0.4 and text.strength is None


def test_the_stages_of_a_block_add_up_to_its_time(bench_model):
    stream = BlockStream(bench_model, bench_config(bench_model.shape, "trimmed", "video-to-video"))
    stream.fill_window()
    stages = stream.run_staged(random_mask(stream.grid, 0.5))
    assert {"DiT", "clean pass", "restore", "other"} == stages.keys()
    assert all(seconds >= 0 for seconds in stages.values())
