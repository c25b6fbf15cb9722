"""Which forwards are pruned: of a pipeline those of its own calls, of an enabled transformer all others."""

import copy
from typing import Any

import pytest
import torch
from diffusers import WanPipeline, WanVideoToVideoPipeline
from pipeline_toys import KINDS, assert_restored, clip, graph, run, some_layout, tokens
from wan_toys import bare, hooks_of, object_graph, toy_pipeline, toy_scheduler, toy_transformer

import lipar
from lipar import TokenLayout, build_config
from lipar.enabling.target import EnableWarning
from lipar_adapters.stock.seam import seam_of
from lipar_adapters.wan.denoise_watch import watch_denoising
from lipar_adapters.wan.seam import WanSeam

HALF = build_config(settings=["prune.keep=0.5"])
MOVING = torch.rand(9, 3, 32, 48, generator=torch.Generator().manual_seed(7))


def kept_by(pipe: Any, kind: str, **changes: Any) -> float | None:
    """The share of tokens that one call of a pipeline computed; None where lipar pruned none of its forwards."""
    before = lipar.summary(pipe)
    run(pipe, kind, **changes)
    after = lipar.summary(pipe)
    count = after.all_tokens - before.all_tokens
    return (after.kept_tokens - before.kept_tokens) / count if count else None


@pytest.mark.parametrize("enabled", KINDS)
def test_outside_of_the_calls_of_its_pipeline_a_transformer_is_stock(enabled: str) -> None:
    pipe = toy_pipeline(enabled)
    experts = [pipe.transformer] + ([pipe.transformer_2] if "a14b" in enabled else [])
    if not enabled.startswith("i2v"):
        stock = [bare(expert) for expert in experts]
    run(pipe, enabled)  # diffusers leaves its own cache contexts
    before = [object_graph(expert) for expert in experts]
    lipar.enable(pipe, layout=some_layout())
    run(pipe, enabled)
    assert [object_graph(expert) for expert in experts] == before
    assert not any(lipar.summary(expert).enabled for expert in experts)
    if not enabled.startswith("i2v"):
        assert all(map(torch.equal, [bare(expert) for expert in experts], stock))


def test_a_second_pipeline_on_the_same_parts_computes_everything_until_it_is_enabled() -> None:
    p, stock = toy_pipeline("v2v"), toy_pipeline("v2v")
    q, t = WanVideoToVideoPipeline(**p.components), WanPipeline(**p.components)
    for pipe in (q, t):
        pipe.set_progress_bar_config(disable=True)
    dense = run(stock, "v2v", video=MOVING)
    lipar.enable(p, HALF)
    assert kept_by(p, "v2v") != 1.0
    assert torch.equal(run(q, "v2v", video=MOVING), dense)
    assert torch.equal(run(t, "t2v"), run(toy_pipeline("t2v"), "t2v"))
    lipar.enable(q, layout=TokenLayout.keep_all((3, 2, 3), has_history=False))
    lipar.enable(t, layout=some_layout())
    by_p, by_t = run(p, "v2v"), run(t, "t2v")
    lipar.disable(q)
    assert not lipar.summary(q).enabled
    assert torch.equal(run(p, "v2v"), by_p)
    lipar.disable(p)
    assert torch.equal(run(p, "v2v", video=MOVING), dense)
    assert torch.equal(run(t, "t2v"), by_t)


def test_a_call_that_fails_leaves_neither_source_nor_hooks() -> None:
    pipe = toy_pipeline("v2v")
    run(pipe, "v2v")
    stock, before = bare(pipe.transformer), object_graph(pipe.transformer)
    lipar.enable(pipe, HALF)
    still = clip()[:1].repeat(9, 1, 1, 1)
    moving = run(pipe, "v2v", video=MOVING)

    def interrupted(*_: Any) -> dict[str, Any]:
        raise KeyboardInterrupt

    def no_memory(*_: Any) -> None:
        raise RuntimeError("the autoencoder is out of memory")

    with pytest.raises(KeyboardInterrupt):
        run(pipe, "v2v", video=still, callback_on_step_end=interrupted)
    assert object_graph(pipe.transformer) == before
    assert torch.equal(bare(pipe.transformer), stock)
    assert pipe._lipar.session.source is None
    assert torch.equal(run(pipe, "v2v", video=MOVING), moving)

    handle = pipe.transformer.blocks[1].register_forward_hook(interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(pipe, "v2v", video=still)
    handle.remove()
    pipe.vae.encode, kept = no_memory, pipe.vae.encode
    with pytest.raises(RuntimeError, match="out of memory"):
        run(pipe, "v2v", video=still)
    pipe.vae.encode = kept
    assert torch.equal(bare(pipe.transformer), stock)
    assert torch.equal(run(pipe, "v2v", video=MOVING), moving)
    with pytest.warns(EnableWarning, match="latents were given instead of a video"):
        assert kept_by(pipe, "v2v", video=None, latents=torch.randn(1, 16, 3, 4, 6)) == 1.0


def test_an_interrupt_inside_a_forward_of_an_enabled_transformer_leaves_nothing() -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    transformer = toy_transformer()
    lipar.enable(transformer, layout=some_layout())
    pruned = bare(transformer)
    handle = transformer.blocks[1].register_forward_hook(interrupt)
    with pytest.raises(KeyboardInterrupt):
        bare(transformer)
    handle.remove()
    assert torch.equal(bare(transformer), pruned)


@pytest.mark.parametrize("schedule", ["euler", "unipc"])
def test_what_a_callback_calls_is_not_pruned_by_the_call_that_runs_it(schedule: str) -> None:
    outer = toy_pipeline("t2v", scheduler=schedule)
    inner = toy_pipeline("t2v", transformer=outer.transformer, scheduler=toy_scheduler(schedule))
    dense = run(inner, "t2v")
    level = float(inner.scheduler.timesteps[2])  # of the step that the callback belongs to
    by_level = bare(outer.transformer, level)
    lipar.enable(outer, layout=some_layout())
    pruned = run(outer, "t2v")
    seen: list[Any] = []

    def preview(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 2:
            seen.extend([run(inner, "t2v"), bare(pipe.transformer, level), hooks_of(pipe.transformer)])
        return {}

    assert torch.equal(run(outer, "t2v", callback_on_step_end=preview), pruned)
    assert torch.equal(seen[0], dense)
    assert torch.equal(seen[1], by_level)
    lipar.enable(inner, layout=some_layout(4))
    alone = run(inner, "t2v")
    assert torch.equal(run(outer, "t2v", callback_on_step_end=preview), pruned)
    assert torch.equal(seen[3], alone)
    assert torch.equal(seen[4], by_level)
    assert seen[5] == seen[2] == 5


@pytest.mark.parametrize("pipeline_first", [False, True])
@pytest.mark.parametrize("pipeline_out_first", [False, True])
def test_an_enabled_transformer_and_its_pipeline_each_have_their_own(
    pipeline_first: bool, pipeline_out_first: bool
) -> None:
    pipe = toy_pipeline("t2v")
    transformer = pipe.transformer
    stock, dense = bare(transformer), run(pipe, "t2v")
    before = graph(pipe)
    of_pipe, of_transformer = some_layout(), some_layout(3)
    lipar.enable(transformer, layout=of_transformer)
    by_transformer, run_by_transformer = bare(transformer), run(pipe, "t2v")
    lipar.disable(transformer)
    for target in (pipe, transformer) if pipeline_first else (transformer, pipe):
        lipar.enable(target, layout=of_pipe if target is pipe else of_transformer)
    by_pipe = run(pipe, "t2v")
    assert_restored(tokens(by_pipe), of_pipe)
    assert torch.equal(bare(transformer), by_transformer)
    lipar.disable(pipe if pipeline_out_first else transformer)
    if pipeline_out_first:
        assert torch.equal(bare(transformer), by_transformer)
        assert torch.equal(run(pipe, "t2v"), run_by_transformer)
    else:
        assert torch.equal(bare(transformer), stock)
        assert torch.equal(run(pipe, "t2v"), by_pipe)
    lipar.disable(transformer if pipeline_out_first else pipe)
    assert torch.equal(run(pipe, "t2v"), dense)
    assert graph(pipe).keys() == before.keys()
    assert object_graph(transformer).keys() == object_graph(toy_transformer()).keys() | {"._diffusers_hook"}
    assert hooks_of(transformer) == 0


def test_a_call_may_be_disabled_and_enabled_in_the_middle() -> None:
    pipe = toy_pipeline("t2v")
    run(pipe, "t2v")
    before = graph(pipe)
    lipar.enable(pipe, layout=some_layout())
    counts = []

    def off(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if step == 2:
            lipar.disable(pipe)
        counts.append(hooks_of(pipe.transformer))
        return {}

    run(pipe, "t2v", callback_on_step_end=off)
    assert counts == [5, 5, 0, 0, 0, 0]
    assert graph(pipe).keys() == before.keys()
    assert not lipar.summary(pipe).enabled


def test_a_transformer_that_lipar_drives_is_refused_by_a_call_too() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    seam = WanSeam(pipe.transformer)
    with pytest.raises(ValueError, match="already pruned by lipar, which drives it"):
        run(pipe, "t2v")
    lipar.disable(pipe)
    assert seam_of(pipe.transformer) is seam


# Attributes on the pipeline


def test_a_progress_bar_of_the_users_own_comes_back() -> None:
    pipe = toy_pipeline("t2v")
    stock, opened = pipe.progress_bar, []

    def own(iterable: Any = None, total: int | None = None) -> Any:
        opened.append(total)
        return stock(iterable, total)

    pipe.progress_bar = own
    lipar.enable(pipe, layout=some_layout())
    assert_restored(tokens(run(pipe, "t2v")), some_layout())
    assert opened == [6]
    lipar.disable(pipe)
    assert pipe.progress_bar is own


def test_a_progress_bar_that_was_put_over_ours_is_left_and_no_longer_prunes() -> None:
    pipe = toy_pipeline("t2v")
    dense = run(pipe, "t2v")
    lipar.enable(pipe, layout=some_layout())
    ours = pipe.progress_bar
    pipe.progress_bar = lambda iterable=None, total=None: ours(iterable, total)
    over = pipe.progress_bar
    pruned = run(pipe, "t2v")
    assert_restored(tokens(pruned), some_layout())
    lipar.disable(pipe)
    assert pipe.progress_bar is over
    assert torch.equal(run(pipe, "t2v"), dense)
    lipar.enable(pipe, layout=some_layout())
    assert torch.equal(run(pipe, "t2v"), pruned)
    lipar.disable(pipe)
    pipe.progress_bar = ours  # somebody puts back what was there while lipar was on
    assert torch.equal(run(pipe, "t2v"), dense)
    lipar.disable(pipe)
    assert "progress_bar" not in vars(pipe)


@pytest.mark.parametrize("watched_first", [False, True])
def test_a_watched_call_is_pruned_too(watched_first: bool) -> None:
    pipe, steps = toy_pipeline("t2v"), []
    before = graph(pipe)
    if not watched_first:
        lipar.enable(pipe, layout=some_layout())
    with watch_denoising(pipe, steps.append) as watch:
        if watched_first:
            lipar.enable(pipe, layout=some_layout())
        assert_restored(tokens(run(pipe, "t2v")), some_layout())
        if watched_first:
            lipar.disable(pipe)
    lipar.disable(pipe)
    assert steps == [1, 2, 3, 4, 5, 6]
    assert watch.seconds > 0
    assert graph(pipe) == before | {key: found for key, found in graph(pipe).items() if key not in before}
    assert "progress_bar" not in vars(pipe)


def test_a_shallow_copy_is_not_enabled_and_says_that_it_was_not_pruned() -> None:
    pipe = toy_pipeline("t2v")
    dense = run(pipe, "t2v")
    lipar.enable(pipe, layout=some_layout())
    pruned = run(pipe, "t2v")
    other = copy.copy(pipe)
    assert not lipar.summary(other).enabled
    with pytest.warns(EnableWarning, match="lipar pruned nothing in this call of WanPipeline"):
        assert torch.equal(run(other, "t2v"), dense)
    lipar.enable(other, layout=some_layout(3))
    assert_restored(tokens(run(other, "t2v")), some_layout(3))
    lipar.disable(other)
    assert torch.equal(run(other, "t2v"), dense)
    assert torch.equal(run(pipe, "t2v"), pruned)
