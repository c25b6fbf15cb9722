"""Passes that are recorded and replayed give what eager ones give; without a GPU, recordings are calls."""

import pytest
import torch
from engine_toys import run, scheduler, source
from hypothesis import given
from hypothesis import strategies as st

from lipar.config import PartConfig
from lipar.testing.closeness import assert_near
from lipar.testing.toy import ToyModel


@pytest.mark.parametrize("noise", ["kv-cache", "step-shift", "noisy-chain"])
def test_replayed_passes_give_what_eager_ones_give(noise: str) -> None:
    counts = [48, 20, 20, 31, 20, 31, 20, 20, 31, 48, 31, 48, 20]
    eager, replayed = (scheduler(counts, replayed=on, noise=noise) for on in (False, True))
    for one, other in zip(run(replayed, len(counts)), run(eager, len(counts)), strict=True):
        assert_near(one, other, 3e-5)
    assert replayed.job.engine.replay.counts["replayed"] > 0


@given(counts=st.lists(st.sampled_from([0, 1, 16, 17, 47, 48]), min_size=2, max_size=14))
def test_any_order_of_sizes_gives_what_eager_passes_give(counts: list[int]) -> None:
    eager, replayed = (scheduler(counts, replayed=on) for on in (False, True))
    for one, other in zip(run(replayed, len(counts)), run(eager, len(counts)), strict=True):
        assert_near(one, other, 3e-5)


def test_a_size_is_recorded_when_it_comes_again_and_replayed_from_then_on() -> None:
    made = scheduler([20] * 8, replayed=True)
    run(made, 8)
    # two denoise steps and the clean pass; the window is full from block 2 on
    assert made.job.engine.replay.counts == {"eager": 9, "recorded": 3, "replayed": 12}


def test_a_prompt_in_the_middle_is_followed() -> None:
    def with_change(replayed):
        made = scheduler([20] * 10, replayed=replayed)
        found = []
        for index, block in enumerate(made.run([source(10)])):
            found.append(block.latents)
            if index == 6:
                made.model.set_prompt("snow")
        return found

    for one, other in zip(with_change(True), with_change(False), strict=True):
        assert_near(one, other, 3e-5)


def test_what_a_recording_cannot_do_runs_eagerly_and_is_said_once() -> None:
    made = scheduler([20] * 8, replayed=True, recovery=PartConfig("m-degree", {"degree": 1, "weigh": True}))
    run(made, 8)
    replay = made.job.engine.replay
    assert replay.counts["replayed"] == replay.counts["recorded"] == 0
    assert replay.reasons == ["the recovery weighs places, or leaves kept tokens out of attention"]
    assert "not recorded: the recovery weighs" in made.job.engine.summary()


def test_a_noise_source_without_a_key_is_never_recorded() -> None:
    made = scheduler([20] * 8, replayed=True, noise="step-matched")
    run(made, 8)
    assert made.job.engine.replay.counts["replayed"] == 0
    assert "replay_key" in made.job.engine.replay.reasons[0]


def test_the_same_seed_gives_the_same_video() -> None:
    first, second = (run(scheduler([20, 31] * 5, replayed=True), 10) for _ in range(2))
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))


def test_a_model_that_refuses_is_run_eagerly_with_its_reason() -> None:
    class Hooked(ToyModel):
        def why_not_replayed(self):
            return "the transformer has a hook of another library"

    made = scheduler([20] * 8, replayed=True, model=Hooked())
    run(made, 8)
    assert made.job.engine.replay.reasons == ["the transformer has a hook of another library"]
    assert made.job.engine.replay.counts["eager"] == 24


def test_recordings_leave_the_masks_of_earlier_blocks_as_they_were() -> None:
    made = scheduler([20] * 10, replayed=True)
    found = list(made.run([source(10)]))
    expected = list(scheduler([20] * 10, replayed=False).run([source(10)]))
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.layout.keep_mask, other.layout.keep_mask)
        assert torch.equal(one.layout.restore_source, other.layout.restore_source)
