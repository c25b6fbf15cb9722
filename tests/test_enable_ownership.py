"""Who prunes a forward: a pipeline its own calls, an enabled transformer the others; parts may be exchanged later."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline, WanVideoToVideoPipeline
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from test_door import object_graph
from test_enable_pipelines import KINDS, assert_restored, clip, graph, options, run, some_layout, tokens
from wan_toys import toy_pipeline, toy_prompt, toy_scheduler, toy_transformer

import lipar
from lipar import TokenLayout, build_config
from lipar.door import WHOLE_CLIP, DoorWarning
from lipar_adapters.wan.causal import CausalWan, Recipe
from lipar_adapters.wan.denoise_watch import watch_denoising
from lipar_adapters.wan.seam import WanSeam, seam_of

HALF = build_config(settings=["prune.keep=0.5"], base=WHOLE_CLIP)
MOVING = torch.rand(9, 3, 32, 48, generator=torch.Generator().manual_seed(7))


def bare(transformer: Any, level: float = 500.0) -> torch.Tensor:
    """The output of a forward that no pipeline makes."""
    generator = torch.Generator().manual_seed(3)
    latents = torch.randn(1, transformer.config.in_channels, 3, 4, 6, generator=generator)
    prompt = toy_prompt()["prompt_embeds"]
    with torch.no_grad():
        output: torch.Tensor = transformer(latents, torch.tensor([level]), prompt, return_dict=False)[0]
    return output


def hooks_of(transformer: Any) -> int:
    """How many hooks of torch are on a transformer and below."""
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) for module in transformer.modules()
    )


def kept_by(pipe: Any, kind: str, **changes: Any) -> float | None:
    """The share of tokens that one call of a pipeline computed; None where lipar pruned none of its forwards."""
    before = lipar.summary(pipe)
    run(pipe, kind, **changes)
    after = lipar.summary(pipe)
    count = after.all_tokens - before.all_tokens
    return (after.kept_tokens - before.kept_tokens) / count if count else None


# Processors and modules that are exchanged


def replace_by_one(transformer: Any) -> None:
    transformer.set_attn_processor(WanAttnProcessor())


def replace_by_saved(transformer: Any) -> None:
    transformer.set_attn_processor({name: WanAttnProcessor() for name in transformer.attn_processors})


def replace_in_one_layer(transformer: Any) -> None:
    transformer.blocks[1].attn1.set_processor(WanAttnProcessor())


def swap_layers(transformer: Any) -> None:
    first, second = (block.attn1.processor for block in transformer.blocks)
    transformer.blocks[0].attn1.set_processor(second)
    transformer.blocks[1].attn1.set_processor(first)


REPLACEMENTS = [replace_by_one, replace_by_saved, replace_in_one_layer, swap_layers]


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_processors_that_were_replaced_are_taken_again_by_the_next_forward(replace: Any) -> None:
    transformer = toy_transformer()
    stock = bare(transformer)
    lipar.enable(transformer, layout=some_layout())
    pruned, hooks = bare(transformer), hooks_of(transformer)
    replace(transformer)
    assert lipar.summary(transformer).enabled
    assert torch.equal(bare(transformer), pruned)
    replace(transformer)
    lipar.enable(transformer, layout=some_layout())
    assert hooks_of(transformer) == hooks
    assert torch.equal(bare(transformer), pruned)
    replace(transformer)
    lipar.disable(transformer)
    assert hooks_of(transformer) == 0
    assert {type(found) for found in transformer.attn_processors.values()} == {WanAttnProcessor}
    assert torch.equal(bare(transformer), stock)


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_processors_of_a_pipelines_transformer_may_be_replaced(replace: Any) -> None:
    pipe = toy_pipeline("t2v")
    stock = run(pipe, "t2v")
    lipar.enable(pipe, layout=some_layout())
    pruned = run(pipe, "t2v")
    replace(pipe.transformer)
    assert torch.equal(run(pipe, "t2v"), pruned)
    lipar.disable(pipe)
    assert torch.equal(run(pipe, "t2v"), stock)


def test_a_processor_that_is_none_of_diffusers_is_refused_by_name_in_the_forward() -> None:
    class OtherProcessor(WanAttnProcessor):
        pass

    pipe = toy_pipeline("t2v")
    stock = run(pipe, "t2v")
    for target in (pipe, pipe.transformer):
        lipar.enable(target, layout=some_layout())
        pipe.transformer.blocks[1].attn1.set_processor(OtherProcessor())
        with pytest.raises(TypeError, match="self-attention of layer 1 has the processor OtherProcessor"):
            run(pipe, "t2v")
        lipar.disable(target)
        assert type(pipe.transformer.blocks[1].attn1.processor) is OtherProcessor
        assert torch.equal(run(pipe, "t2v"), stock)
        pipe.transformer.set_attn_processor(WanAttnProcessor())


def test_processors_saved_while_enabled_do_no_harm_when_they_come_back_later() -> None:
    transformer = toy_transformer()
    stock = bare(transformer)
    lipar.enable(transformer, layout=some_layout())
    pruned, saved = bare(transformer), dict(transformer.attn_processors)
    lipar.disable(transformer)
    transformer.set_attn_processor(dict(saved))
    assert not lipar.summary(transformer).enabled
    assert torch.equal(bare(transformer), stock)
    lipar.enable(transformer, layout=some_layout())
    assert torch.equal(bare(transformer), pruned)
    lipar.disable(transformer)
    transformer.set_attn_processor(dict(saved))
    lipar.disable(transformer)
    assert {type(found) for found in transformer.attn_processors.values()} == {WanAttnProcessor}


@pytest.mark.parametrize("replace", REPLACEMENTS)
def test_a_model_that_lipar_drives_reads_its_text_again_after_processors_were_replaced(replace: Any) -> None:
    from lipar.attention import BlockContext
    from lipar.kv_cache import KVCache
    from lipar.protocols import ForwardPass
    from lipar_plugins.recoveries import MDegree

    def flow() -> torch.Tensor:
        layout = TokenLayout.keep_all((3, 2, 3), has_history=False)
        context = BlockContext(KVCache(2, model.rope, persistent=False), layout, MDegree(), None)
        latents = torch.randn(1, 3, 16, 4, 6, generator=torch.Generator().manual_seed(2))
        return model.forward(latents, ForwardPass.at(0, 0.7), context)

    model = CausalWan(toy_transformer(), Recipe())
    model.prompt_embeds = toy_prompt()["prompt_embeds"]
    before = flow()
    replace(model.transformer)
    assert torch.equal(flow(), before)
    assert torch.equal(flow(), before)  # the second time the text is not read
    text = [block.attn2.processor for block in model.transformer.blocks]
    for block, processor in zip(model.transformer.blocks, reversed(text), strict=True):
        block.attn2.set_processor(processor)
    assert torch.equal(flow(), before)


@pytest.mark.parametrize("module", ["proj_out", "patch_embedding", "rope"])
def test_a_module_that_was_exchanged_is_hooked_in_the_next_forward(module: str) -> None:
    transformer = toy_transformer()
    lipar.enable(transformer, layout=some_layout())
    pruned, hooks, old = bare(transformer), hooks_of(transformer), getattr(transformer, module)
    lipar.disable(transformer)
    new = copy.deepcopy(old)
    lipar.enable(transformer, layout=some_layout())
    setattr(transformer, module, new)
    assert torch.equal(bare(transformer), pruned)
    assert hooks_of(transformer) == hooks
    assert not old._forward_hooks
    lipar.disable(transformer)
    assert hooks_of(transformer) == 0


def cleared_everywhere(transformer: Any) -> None:
    for module in transformer.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()


def cleared_on_the_root(transformer: Any) -> None:
    transformer._forward_hooks.clear()
    transformer._forward_pre_hooks.clear()


def cleared_below(transformer: Any) -> None:
    transformer.rope._forward_hooks.clear()
    transformer.proj_out._forward_hooks.clear()


@pytest.mark.parametrize("clear", [cleared_everywhere, cleared_on_the_root, cleared_below])
def test_hooks_that_somebody_cleared_leave_a_model_that_is_whole(clear: Any) -> None:
    transformer = toy_transformer()
    stock = bare(transformer)
    lipar.enable(transformer, layout=some_layout())
    pruned = bare(transformer)
    clear(transformer)
    enabled = lipar.summary(transformer).enabled
    assert enabled is (clear is cleared_below)
    assert torch.equal(bare(transformer), pruned if enabled else stock)
    lipar.enable(transformer, layout=some_layout())
    assert torch.equal(bare(transformer), pruned)
    assert hooks_of(transformer) == 5
    clear(transformer)
    lipar.disable(transformer)
    assert hooks_of(transformer) == 0
    assert {type(found) for found in transformer.attn_processors.values()} == {WanAttnProcessor}
    assert torch.equal(bare(transformer), stock)


def test_a_lora_on_the_first_and_last_projection_may_come_and_go() -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed: tox -e features")
    names = ["to_q", "to_v", "proj_out", "patch_embedding"]
    adapter = peft.LoraConfig(r=2, lora_alpha=4, init_lora_weights=False, target_modules=names)

    def add(transformer: Any) -> None:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            transformer.add_adapter(adapter)
        transformer.eval()

    told, transformer = toy_transformer(), toy_transformer()
    stock = bare(transformer)
    add(told)
    adapted = bare(told)
    lipar.enable(told, layout=some_layout())
    lipar.enable(transformer, layout=some_layout())
    pruned = bare(transformer)
    add(transformer)
    assert torch.equal(bare(transformer), bare(told))
    assert not torch.equal(bare(transformer), pruned)
    transformer.unload_lora()
    assert torch.equal(bare(transformer), pruned)
    add(transformer)
    bare(transformer)
    lipar.disable(transformer)
    assert torch.equal(bare(transformer), adapted)
    transformer.unload_lora()
    assert torch.equal(bare(transformer), stock)
    assert hooks_of(transformer) == 0


# Parts that are shared


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
    assert pipe._lipar.hold.source is None
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
    with pytest.warns(DoorWarning, match="latents were given instead of a video"):
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


# What stands on the pipeline


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
    with pytest.warns(DoorWarning, match="lipar pruned nothing in this call of WanPipeline"):
        assert torch.equal(run(other, "t2v"), dense)
    lipar.enable(other, layout=some_layout(3))
    assert_restored(tokens(run(other, "t2v")), some_layout(3))
    lipar.disable(other)
    assert torch.equal(run(other, "t2v"), dense)
    assert torch.equal(run(pipe, "t2v"), pruned)


# Schedules, copies and exchanged parts


def diffusion_scheduler() -> Any:
    return UniPCMultistepScheduler()


def epsilon_scheduler() -> Any:
    return UniPCMultistepScheduler(prediction_type="epsilon", use_flow_sigmas=True, flow_shift=5.0)


@pytest.mark.parametrize("before", ["euler", "unipc"])
@pytest.mark.parametrize("after", ["euler", "unipc"])
def test_the_noise_level_is_that_of_the_scheduler_that_drives_the_call(before: str, after: str) -> None:
    pipe, layout = toy_pipeline("t2v", scheduler=before), some_layout()
    lipar.enable(pipe, layout=layout)
    run(pipe, "t2v")
    shift = "shift" if after == "euler" else "flow_shift"
    scheduler = toy_scheduler(after)
    pipe.scheduler = type(scheduler).from_config(scheduler.config, **{shift: 2.0})
    exchanged = run(pipe, "t2v")
    assert_restored(tokens(exchanged), layout, 2e-5)
    told = toy_pipeline("t2v", scheduler=copy.deepcopy(pipe.scheduler))
    lipar.enable(told, layout=layout)
    assert torch.equal(exchanged, run(told, "t2v"))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize("make", [diffusion_scheduler, epsilon_scheduler])
def test_a_schedule_that_is_not_of_flow_matching_is_refused_by_the_call_too(make: Any) -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    flow = run(pipe, "t2v")
    pipe.scheduler, kept = make(), pipe.scheduler
    with pytest.raises(TypeError, match="UniPCMultistepScheduler does not follow flow matching"):
        run(pipe, "t2v")
    assert hooks_of(pipe.transformer) == 0
    pipe.scheduler = kept
    assert torch.equal(run(pipe, "t2v"), flow)
    pipe.scheduler = make()
    with pytest.raises(TypeError, match="does not follow flow matching"):
        lipar.enable(pipe, layout=some_layout())


def deep_copied(pipe: Any) -> Any:
    return copy.deepcopy(pipe)


def pickled(pipe: Any) -> Any:
    return pickle.loads(pickle.dumps(pipe))


def saved_by_torch(pipe: Any) -> Any:
    file = io.BytesIO()
    torch.save(pipe, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("duplicate", [deep_copied, pickled, saved_by_torch])
@pytest.mark.parametrize("kind", ["t2v", "v2v", "i2v-5b"])
def test_a_copy_of_an_enabled_pipeline_is_enabled_by_itself(kind: str, duplicate: Any) -> None:
    pipe = toy_pipeline(kind, scheduler="unipc")
    lipar.enable(pipe, HALF, **({} if kind == "v2v" else {"source": clip()}))
    pruned = run(pipe, kind)
    other = duplicate(pipe)
    assert torch.equal(run(other, kind), pruned)
    forwards = lipar.summary(pipe).forwards
    other.scheduler = toy_scheduler("euler")
    run(other, kind)
    assert lipar.summary(pipe).forwards == forwards
    lipar.disable(pipe)
    stock = run(pipe, kind)
    assert lipar.summary(other).enabled
    lipar.disable(other)
    other.scheduler = toy_scheduler("unipc")
    assert torch.equal(run(other, kind), stock)
    assert vars(other).keys() == vars(pipe).keys()


@pytest.mark.parametrize("duplicate", [deep_copied, pickled, saved_by_torch])
def test_a_copy_of_an_enabled_transformer_is_enabled_by_itself(duplicate: Any) -> None:
    transformer = toy_transformer()
    stock = bare(transformer)
    lipar.enable(transformer, layout=some_layout())
    pruned = bare(transformer)
    other = duplicate(transformer)
    assert torch.equal(bare(other), pruned)
    lipar.disable(transformer)
    assert torch.equal(bare(other), pruned)
    lipar.disable(other)
    assert hooks_of(other) == 0
    assert torch.equal(bare(other), stock)


def test_a_pipeline_made_of_an_enabled_one_is_not_enabled_and_has_its_own_schedule() -> None:
    pipe = toy_pipeline("t2v", scheduler="unipc")
    lipar.enable(pipe, layout=some_layout())
    pruned = run(pipe, "t2v")
    other = WanVideoToVideoPipeline.from_pipe(pipe)
    assert not lipar.summary(other).enabled
    again = WanPipeline(**(pipe.components | {"scheduler": toy_scheduler("euler")}))
    again.set_progress_bar_config(disable=True)
    assert torch.equal(run(again, "t2v"), run(toy_pipeline("t2v"), "t2v"))
    lipar.enable(again, layout=some_layout(2))
    assert_restored(tokens(run(again, "t2v")), some_layout(2), 2e-5)
    assert torch.equal(run(pipe, "t2v"), pruned)


@pytest.mark.parametrize("kind", ["t2v", "t2v-a14b", "v2v"])
def test_an_exchanged_transformer_is_pruned_and_the_old_one_is_stock(kind: str) -> None:
    pipe, other = toy_pipeline(kind), toy_pipeline(kind, seed=5, vae=None)
    old = pipe.transformer
    run(pipe, kind)
    stock, before = bare(old), object_graph(old)
    lipar.enable(pipe, layout=some_layout())
    run(pipe, kind)
    pipe.transformer = other.transformer
    if kind == "t2v-a14b":
        pipe.transformer_2 = other.transformer_2
    exchanged = run(pipe, kind)
    assert_restored(tokens(exchanged), some_layout())
    told = toy_pipeline(kind, seed=5, vae=pipe.vae)
    lipar.enable(told, layout=some_layout())
    assert torch.equal(exchanged, run(told, kind))
    assert object_graph(old) == before
    assert torch.equal(bare(old), stock)
    lipar.disable(pipe)
    assert hooks_of(pipe.transformer) == 0


def test_an_exchanged_transformer_of_another_form_is_refused() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    pipe.transformer = toy_transformer(patch_size=(1, 1, 1))
    with pytest.raises(
        ValueError, match=r"patches of \(1, 1, 1\) and 16 channels, but .* \(1, 2, 2\) and 16"
    ):
        run(pipe, "t2v")
    assert hooks_of(pipe.transformer) == 0


def wrapped(transformer: Any) -> Any:
    return torch.compile(transformer, backend="eager")


def in_place(transformer: Any) -> Any:
    transformer.compile(backend="eager")
    return transformer


def its_forward(transformer: Any) -> Any:
    transformer.forward = torch.compile(transformer.forward, backend="eager")
    return transformer


@pytest.mark.parametrize("compiled", [wrapped, in_place, its_forward])
def test_compiling_as_a_whole_after_enable_is_refused_by_the_forward(compiled: Any) -> None:
    said = r"compiled as a whole.*compile_repeated_blocks\(\)"
    pipe = toy_pipeline("t2v")
    try:
        lipar.enable(pipe, layout=some_layout())
        pipe.transformer = compiled(pipe.transformer)
        with pytest.raises(TypeError, match=said):
            run(pipe, "t2v")
        with pytest.raises(TypeError, match=said):
            lipar.enable(toy_pipeline("t2v", transformer=pipe.transformer), layout=some_layout())
        transformer = toy_transformer()
        lipar.enable(transformer, layout=some_layout())
        whole = compiled(transformer)
        for _ in range(2):
            with pytest.raises(TypeError, match=said):
                bare(whole)
        assert lipar.summary(transformer).forwards == 0
        lipar.disable(transformer)
        torch.testing.assert_close(bare(whole), bare(toy_transformer()), rtol=0, atol=1e-5)
    finally:
        torch._dynamo.reset()


def test_compiled_layers_are_not_compiled_again_for_every_call() -> None:
    from torch._dynamo.testing import CompileCounter

    pipe, counter = toy_pipeline("t2v"), CompileCounter()
    lipar.enable(pipe, layout=some_layout())
    expected = run(pipe, "t2v")
    try:
        for block in pipe.transformer.blocks:
            block.compile(backend=counter)
        torch.testing.assert_close(run(pipe, "t2v"), expected, rtol=0, atol=1e-4)
        compiled = counter.frame_count
        for _ in range(3):
            run(pipe, "t2v")
        assert counter.frame_count == compiled > 0
    finally:
        torch._dynamo.reset()


def test_a_backend_and_fused_projections_set_after_enable_stay_after_disable() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    lipar.enable(pipe.transformer, layout=some_layout())
    for block in pipe.transformer.blocks:
        block.attn1.set_attention_backend("_native_math")
    pipe.transformer.fuse_qkv_projections()
    assert_restored(tokens(pipe(**options("t2v")).frames), some_layout())
    lipar.disable(pipe.transformer)
    lipar.disable(pipe)
    backends = {block.attn1.processor._attention_backend.value for block in pipe.transformer.blocks}
    assert backends == {"_native_math"}
    told = toy_pipeline("t2v")
    for block in told.transformer.blocks:
        block.attn1.set_attention_backend("_native_math")
    told.transformer.fuse_qkv_projections()
    assert torch.equal(run(pipe, "t2v"), run(told, "t2v"))
