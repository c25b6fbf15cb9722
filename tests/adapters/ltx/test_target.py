"""`lipar.enable` on stock LTX pipelines: their own results where all is kept, and restored clips where not."""

import copy
from typing import Any

import pytest
import torch
from ltx_toys import FRAMES, GRID, HEIGHT, KINDS, WIDTH, options, run, some_layout, toy_pipeline
from wan_toys import object_graph

import lipar
from lipar import TokenLayout, load_plugins
from lipar.config import ConfigError
from lipar.testing.closeness import assert_near
from lipar_adapters.ltx.clip_latents import encode_video


def graph(pipe: Any) -> dict[str, Any]:
    """What hangs on a pipeline and its transformer."""
    return {key: id(value) for key, value in vars(pipe).items()} | object_graph(pipe.transformer)


def clip() -> torch.Tensor:
    """A still picture with a bright square that moves to the right."""
    still = torch.rand(3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    video = still.repeat(FRAMES, 1, 1, 1)
    for index in range(FRAMES):
        video[index, :, 2:30, 3 * index : 3 * index + 32] = 1.0
    return video


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("frames", [9, 17])
@pytest.mark.parametrize("kind", KINDS)
def test_keep_all_is_the_stock_pipeline_bit_for_bit(kind: str, frames: int, guidance_scale: float) -> None:
    pipe, changes = toy_pipeline(kind), {"num_frames": frames, "guidance_scale": guidance_scale}
    stock = run(pipe, kind, **changes)
    grid = ((frames + 7) // 8, *GRID[1:])
    lipar.enable(pipe, layout=TokenLayout.keep_all(grid, has_history=False))
    assert torch.equal(run(pipe, kind, **changes), stock)


@pytest.mark.parametrize("kind", KINDS)
def test_disable_leaves_the_object_graph_as_it_was(kind: str) -> None:
    pipe = toy_pipeline(kind)
    stock, before = run(pipe, kind), graph(pipe)
    lipar.enable(pipe, layout=some_layout())
    lipar.enable(pipe, layout=some_layout(1))
    assert not torch.equal(run(pipe, kind), stock)
    assert object_graph(pipe.transformer).items() <= before.items()  # stock outside of the pipeline's calls
    lipar.disable(pipe)
    assert graph(pipe).keys() == before.keys()
    assert torch.equal(run(pipe, kind), stock)
    lipar.disable(pipe)
    lipar.enable(pipe.transformer, layout=some_layout())
    lipar.disable(pipe.transformer)
    assert object_graph(pipe.transformer).items() <= before.items()


@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
def test_velocities_restore_as_copying_after_the_solver_would(kind: str, guidance_scale: float) -> None:
    pipe, layout = toy_pipeline(kind), some_layout()
    lipar.enable(pipe, layout=layout)
    end = run(pipe, kind, guidance_scale=guidance_scale)
    assert_near(end, layout.fill(None, layout.prune(end)), 1e-5)
    found = lipar.summary(pipe)
    assert found.forwards == 4
    assert found.kept_tokens == 4 * layout.kept_count


def test_an_enabled_transformer_in_a_pipeline_knows_its_noise_level_by_its_timestep() -> None:
    pipe, layout = toy_pipeline("i2v"), some_layout()
    lipar.enable(pipe.transformer, layout=layout)
    end = run(pipe, "i2v")
    assert_near(end, layout.fill(None, layout.prune(end)), 1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_a_source_decides_what_is_kept(kind: str) -> None:
    pipe = toy_pipeline(kind)
    lipar.enable(pipe, source=clip(), keep=0.5)
    by_video = run(pipe, kind)
    found = lipar.summary(pipe)
    assert 1 / 3 < found.kept_tokens / found.all_tokens < 1
    lipar.enable(pipe, source=encode_video(pipe, clip()), keep=0.5)
    assert torch.equal(run(pipe, kind), by_video)


def test_without_a_source_the_models_own_prediction_is_measured() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, full_steps=2, keep=0.4)
    run(pipe, "t2v")
    found = lipar.summary(pipe)
    assert found.kept_tokens < found.all_tokens
    assert found.speedup is not None


def test_thresholds_are_not_known_for_these_latents() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, source=clip())
    with pytest.raises(ValueError, match="threshold"):
        run(pipe, "t2v")


def needs_no_cache(kind: str, facts: frozenset[str]) -> list[str]:
    from lipar.plugin.compatibility import needs_of

    registry = load_plugins().registries[kind]
    own = [part for part in registry if part.owner.split()[0] == "lipar"]
    return [part.name for part in own if needs_of(part.part, part.name) <= facts]


@pytest.mark.parametrize("kind", ["recovery", "noise", "restorer"])
def test_every_part_that_needs_no_causal_cache_runs(kind: str) -> None:
    from lipar_adapters.ltx.target import FACTS

    names = needs_no_cache(kind, FACTS | {"clean-first-frame"})
    assert len(names) > 1
    pipe = toy_pipeline("i2v")
    for name in names:
        lipar.enable(pipe, {kind: name}, layout=some_layout())
        assert run(pipe, "i2v", num_inference_steps=2).isfinite().all(), name


def test_what_needs_a_causal_cache_is_refused() -> None:
    with pytest.raises(ConfigError, match="needs a KV cache of the frames before the block"):
        lipar.enable(toy_pipeline("t2v"), noise="step-shift", layout=some_layout())
    with pytest.raises(ConfigError, match="needs a clean first frame among the tokens"):
        lipar.enable(toy_pipeline("t2v"), noise="image-condition", layout=some_layout())


def test_a_copy_of_the_pipeline_prunes_by_itself() -> None:
    pipe, layout = toy_pipeline("t2v"), some_layout()
    lipar.enable(pipe, layout=layout)
    copied = copy.deepcopy(pipe)
    lipar.disable(pipe)
    assert_near(run(copied, "t2v"), layout.fill(None, layout.prune(run(copied, "t2v"))), 1e-5)
    assert not lipar.summary(pipe).enabled


def test_a_whole_call_ends_in_pixels() -> None:
    pipe = toy_pipeline("i2v")
    lipar.enable(pipe, layout=some_layout())
    assert pipe(**options("i2v", output_type="np")).frames.shape == (1, FRAMES, HEIGHT, WIDTH, 3)


def test_the_condition_pipeline_is_not_supported_and_that_is_said() -> None:
    from diffusers import LTXConditionPipeline

    pipe = toy_pipeline("t2v")
    other = LTXConditionPipeline(**pipe.components)
    with pytest.raises(TypeError, match=r"cannot prune a LTXConditionPipeline; supported: .*LTXPipeline"):
        lipar.enable(other, layout=some_layout())


def test_a_schedule_that_is_not_of_flow_matching_is_refused() -> None:
    from diffusers import DDIMScheduler

    pipe = toy_pipeline("t2v")
    pipe.scheduler = DDIMScheduler()
    with pytest.raises(TypeError, match="DDIMScheduler does not follow flow matching"):
        lipar.enable(pipe, layout=some_layout())
