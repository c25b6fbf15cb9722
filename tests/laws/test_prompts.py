"""A prompt that changes during a video: what is computed then, and that pruning and dense runs agree on it."""

import pytest
import torch
from engine_toys import use_replay
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar import Scheduler, build_config, load_plugins
from lipar.hookspecs import hookimpl
from lipar.sampling.gaussian import SeededDraw
from lipar.testing.closeness import assert_near
from lipar.testing.strategies import seeds
from lipar.testing.toy import ToyAutoencoder, ToyModel

HOST = load_plugins()
BLOCKS = 4
KEEP_ALL = {"prune": {"tau_short": 1e-6, "tau_long": 1e-6, "scene_cuts": False}, "refiners": ["threshold"]}
STILL = {"prune": {"scene_cuts": False}}
KEEPS = {"cache": {"new_prompt": "keep"}}


def moving(seed):
    return torch.randn(1, 3 * BLOCKS, 4, 8, 8, generator=torch.Generator().manual_seed(seed))


def still(seed):
    return moving(seed)[:, :1].expand(-1, 3 * BLOCKS, -1, -1, -1)


def run(source, prompts, *settings, model=None, replayed=False, **options):
    """Blocks of a run whose block i has `prompts[i]`."""
    model = model or ToyModel(autoencoder=ToyAutoencoder())
    made = Scheduler(model, build_config(settings=settings), host=options.pop("host", HOST), **options)
    if replayed:
        use_replay(made)
    return list(made.run([source], prompts=lambda first_frame: prompts[first_frame // 3]))


def latents(blocks):
    return torch.cat([block.latents for block in blocks], dim=1)


@settings(max_examples=20)
@given(
    seed=seeds,
    prompts=st.lists(st.sampled_from(["night", "snow", "fog"]), min_size=BLOCKS, max_size=BLOCKS),
    guidance=st.sampled_from([1.0, 3.0]),
    cache=st.sampled_from([{}, KEEPS]),
)
def test_keeping_every_token_is_the_dense_run_with_any_schedule(seed, prompts, guidance, cache):
    def blocks(*settings, **options):
        model = ToyModel(autoencoder=ToyAutoencoder(), guidance_scale=guidance)
        return run(moving(seed), prompts, *settings, model=model, **options)

    pruned, dense = blocks(KEEP_ALL, cache), blocks(STILL, cache, dense=True)
    assert all(block.layout.kept_fraction == 1 for block in pruned)
    assert torch.equal(latents(pruned), latents(dense))


@settings(max_examples=10)
@given(seed=seeds)
def test_a_schedule_of_one_prompt_is_that_prompt(seed):
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("night")
    plain = list(Scheduler(model, build_config(settings=[STILL]), host=HOST).run([moving(seed)]))
    assert torch.equal(latents(plain), latents(run(moving(seed), ["night"] * BLOCKS, STILL)))


@settings(max_examples=10)
@given(seed=seeds)
def test_blocks_before_a_change_do_not_depend_on_it(seed):
    changed, same = (
        run(moving(seed), ["night", "night", later, later], STILL) for later in ("snow", "night")
    )
    assert torch.equal(latents(changed[:2]), latents(same[:2]))
    assert not torch.equal(latents(changed[2:]), latents(same[2:]))


def test_a_still_source_is_computed_in_full_where_the_prompt_changes_and_nowhere_else():
    blocks = run(still(0), ["night", "night", "snow", "snow"], STILL)
    assert [block.layout.kept_fraction for block in blocks] == [1, 0, 1, 0]
    assert [block.layout.has_history for block in blocks] == [False, True, False, True]
    assert [block.cut for block in blocks] == [0, None, None, None]
    assert [block.new_prompt for block in blocks] == ["night", None, "snow", None]
    # without its full block it would show night to the end
    assert torch.equal(blocks[3].latents, blocks[2].latents[:, -1:].expand(-1, 3, -1, -1, -1))
    assert not torch.equal(blocks[2].latents, blocks[1].latents)


class ForgetBefore:
    """Has the noise source forget all it knows when a block begins."""

    def __init__(self, first_frame):
        self.first_frame = first_frame

    @hookimpl(tryfirst=True)
    def lipar_forward(self, job, layout, forward_pass):
        if (layout.first_frame, forward_pass.step) == (self.first_frame, 0):
            job.parts.noise.reset()


@pytest.mark.parametrize("noise", ["kv-cache", "step-matched", "step-shift"])
def test_the_full_block_replaces_all_that_noise_sources_know_of_the_prompt_before(noise):
    prompts = ["night", "night", "snow", "snow"]
    source = still(1).clone()
    source[:, :, :, :4] += 0.3 * moving(2)[:, :, :, :4]  # half of it is pruned in the last block
    as_is, forgotten = (
        run(source, prompts, STILL, KEEPS, {"noise": noise}, host=host)
        for host in (HOST, load_plugins(ForgetBefore(6)))
    )
    assert 0 < as_is[3].layout.kept_fraction < 1
    assert torch.equal(latents(as_is), latents(forgotten))


def test_a_new_prompt_begins_as_if_the_video_had_begun_with_it():
    # positions roll with the cache, and Gaussian values are drawn by frame
    class From6:
        def __call__(self, frame, *rest):
            return SeededDraw(0)(frame + self.offset, *rest)

        offset = 0

    early, late = From6(), From6()
    late.offset = 6
    changed = run(moving(5), ["night", "night", "snow", "snow"], STILL, draw=early)
    alone = run(moving(5)[:, 6:], ["snow", "snow"], STILL, draw=late)
    assert torch.equal(latents(changed[2:]), latents(alone))


def test_with_its_history_kept_a_new_prompt_is_computed_in_full_and_attends_to_it():
    forgets, keeps = (
        run(moving(6), ["night", "night", "snow", "snow"], STILL, *cache) for cache in ((), (KEEPS,))
    )
    assert keeps[2].layout.has_history and keeps[2].layout.kept_fraction == 1
    assert not torch.equal(keeps[2].latents, forgets[2].latents)


@pytest.mark.parametrize("noise", ["kv-cache", "step-shift"])
def test_replayed_passes_follow_a_new_prompt_as_eager_ones_do(noise):
    prompts = ["night", "night", "snow", "night"]
    half = {"prune": {"tau_short": 0.1, "tau_long": 0.2, "scene_cuts": False}}
    source = still(3) + 0.01 * moving(4)
    eager, replayed = (
        run(source, prompts, half, {"noise": noise}, replayed=replayed) for replayed in (False, True)
    )
    for left, right in zip(eager, replayed):
        assert torch.equal(left.layout.keep_mask, right.layout.keep_mask)
    assert_near(latents(replayed), latents(eager), within=1e-3)


def test_a_prompt_is_asked_for_right_before_its_block_is_computed():
    # so a live session can change it between two blocks
    said, current = [], ["night"]
    made = Scheduler(ToyModel(autoencoder=ToyAutoencoder()), build_config(settings=[STILL]), host=HOST)
    for block in made.run([moving(0)], prompts=lambda first_frame: current[0]):
        said.append(made.job.prompt)
        current[0] = {0: "night", 3: "snow"}.get(block.first_frame, "fog")
    assert said == ["night", "night", "snow", "fog"]


def test_none_leaves_the_prompt_of_the_model():
    model = ToyModel(autoencoder=ToyAutoencoder())
    model.set_prompt("night")
    blocks = run(moving(0), [None] * BLOCKS, STILL, model=model)
    assert [block.new_prompt for block in blocks] == [None] * BLOCKS and model.prompt == "night"
