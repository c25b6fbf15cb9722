"""What an enabled pipeline may get later: another schedule or transformer, a compiled one, copies of itself."""

import copy
import io
import pickle
from typing import Any

import pytest
import torch
from diffusers import UniPCMultistepScheduler, WanPipeline, WanVideoToVideoPipeline
from pipeline_toys import assert_restored, clip, options, run, some_layout, tokens
from wan_toys import bare, hooks_of, object_graph, toy_pipeline, toy_scheduler, toy_transformer

import lipar
from lipar import build_config
from lipar.testing.closeness import assert_near

HALF = build_config(settings=["prune.keep=0.5"])


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
    assert_restored(tokens(exchanged), layout)
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
    assert_restored(tokens(run(again, "t2v")), some_layout(2))
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
        assert_near(bare(whole), bare(toy_transformer()), 1e-5)
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
        assert_near(run(pipe, "t2v"), expected, 1e-4)
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
