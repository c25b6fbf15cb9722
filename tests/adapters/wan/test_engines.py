"""A Wan transformer with compiled layers, and with recorded passes."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from engine_toys import run, scheduler, source
from wan_toys import toy_transformer

from lipar.engines.engine import GraphEngine
from lipar.testing.closeness import assert_near
from lipar_adapters.wan.causal import CausalWan
from lipar_adapters.wan.run_settings import RunSettings


def encoded(prompts):
    return torch.stack([torch.randn(8, 64, generator=torch.Generator().manual_seed(len(p))) for p in prompts])


def model(on="cpu", **settings):
    transformer = toy_transformer(in_channels=4, out_channels=4).to(on)
    return CausalWan(transformer, RunSettings(**settings), encode_prompt=encoded)


COUNTS = [48, 20, 20, 31, 20, 31, 20, 0, 20, 31, 48, 48, 1, 20]


@pytest.mark.parametrize("guidance", [1.0, 3.0])
@pytest.mark.parametrize("noise", ["kv-cache", "step-shift"])
def test_replayed_passes_give_what_eager_ones_give(noise, guidance):
    eager, replayed = (
        scheduler(COUNTS, replayed=on, noise=noise, model=model(guidance_scale=guidance))
        for on in (False, True)
    )
    for one, other in zip(run(replayed, len(COUNTS)), run(eager, len(COUNTS)), strict=True):
        assert_near(one, other, 3e-5)
    assert replayed.job.engine.replay.counts["replayed"] > 10


def test_a_new_prompt_is_projected_by_an_eager_pass_into_the_memory_that_recordings_read():
    def with_change(replayed):
        made = scheduler([20] * 12, replayed=replayed, model=model())
        found = []
        for index, block in enumerate(made.run([source(12)])):
            found.append(block.latents)
            if index == 7:
                made.model.set_prompt("snow on a hill")
        return found, made

    (replayed, made), (eager, _) = with_change(True), with_change(False)
    for one, other in zip(replayed, eager, strict=True):
        assert_near(one, other, 3e-5)
    # blocks 0 to 2, and the first pass with the new prompt
    assert made.job.engine.replay.counts["eager"] == 3 * 4 + 1


def test_prompts_of_one_size_share_their_memory_and_another_size_gives_another_key():
    wan = model()
    made = scheduler([20] * 4, replayed=False, model=wan)
    keys = []
    prompts = [encoded(["snow"]), encoded(["autumn"]), encoded(["snow"])[:, :5], encoded(["snow"])]
    for prompt, _ in zip(prompts, made.run([source(4)]), strict=True):
        keys.append(wan.replay_key())
        wan.prompt_embeds = prompt
        assert wan.replay_key() is None  # not projected yet
    assert keys[0] == keys[1] == keys[2] != keys[3]


# the compiler's advice to round products to TensorFloat32
@pytest.mark.filterwarnings("ignore:TensorFloat32 tensor cores:UserWarning")
@pytest.mark.gpu
@pytest.mark.parametrize("noise", ["kv-cache", "step-shift"])
@pytest.mark.parametrize("compiles", [False, True])
def test_cuda_graphs_give_what_eager_passes_give_across_scenes_and_prompts(noise, compiles):
    """Two scenes of full windows, and a new prompt in each; memory is returned in between, so that none is stale."""

    def edited(engine):
        wan = model(on="cuda")
        made = scheduler([20] * 24, replayed=False, noise=noise, model=wan)
        if engine is not None:
            made.job.engine, made.job.cache._fused = engine(wan), True
        found = []
        for index, block in enumerate(made.run([source(24).cuda()])):
            found.append(block.latents.cpu())
            if index in (7, 19):
                wan.set_prompt(f"prompt {index}")
            if index == 11:  # as the scheduler does at a cut
                made.job.cache.reset()
                made.job.parts.noise.reset()
                made.job.history = None
            torch.cuda.empty_cache()
        return found, made

    def graphs(wan):
        return GraphEngine(wan, "in a test", compiles=compiles)

    try:
        (replayed, made), (eager, _) = edited(graphs), edited(None)
    finally:
        torch._dynamo.reset()
    assert made.job.engine.replay.counts["replayed"] > 40
    for one, other in zip(replayed, eager, strict=True):
        assert_near(one, other, 1e-4)


def test_a_hook_of_another_library_is_noticed_before_the_next_block():
    made = scheduler([20] * 8, replayed=True, model=model())
    calls = []
    for index, _ in enumerate(made.run([source(8)])):
        if index == 5:
            hook = lambda *_: calls.append(1)  # noqa: E731
            handle = made.model.transformer.blocks[0].ffn.register_forward_hook(hook)
        if index == 6:
            handle.remove()
    assert len(calls) == 4
    assert made.job.engine.replay.reasons == ["the transformer has a hook of another library on blocks.0.ffn"]


FIFTY_BLOCKS = """
import torch
from engine_toys import scheduler, source
from test_engines import model
from torch._dynamo.testing import CompileCounter

wan, counter = model(), CompileCounter()
counts = torch.randint(2, 48, (50,), generator=torch.Generator().manual_seed(0)).tolist()
for block in wan.transformer.blocks:
    block.compile(backend=counter, dynamic=True)
wan._layers_compiled = True
made = scheduler(counts, replayed=True, model=wan)
made.job.engine._compiles = True
for _ in made.run([source(50)]):
    assert counter.frame_count == 1, counter.frame_count
"""


def test_fifty_blocks_of_random_counts_are_compiled_once():
    """All layers, the steps, the clean pass and every number of kept tokens share the first layer's code.

    In a process of its own: the compiler would look into the suite's check of signatures.
    """
    here = Path(__file__).parent
    paths = [str(here), str(here.parents[1]), *filter(None, [os.environ.get("PYTHONPATH")])]
    run_by = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run([sys.executable, "-c", FIFTY_BLOCKS], env=run_by, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_compiled_layers_give_what_eager_ones_give():
    def aot(on, wan):
        for block in wan.transformer.blocks:
            if on:
                block.compile(backend="aot_eager", dynamic=True)
        wan._layers_compiled = on
        return wan

    try:
        made = scheduler(COUNTS, replayed=True, model=aot(True, model()))
        made.job.engine._compiles = True
        compiled = run(made, len(COUNTS))
    finally:
        torch._dynamo.reset()
    eager = run(scheduler(COUNTS, replayed=False, model=model()), len(COUNTS))
    for one, other in zip(compiled, eager, strict=True):
        assert_near(one, other, 3e-5)


def test_layers_are_compiled_and_taken_back():
    wan = model()
    wan.use_compiled_layers(True)
    assert all(block._compiled_call_impl is not None for block in wan.transformer.blocks)
    wan.use_compiled_layers(False)
    assert all(block._compiled_call_impl is None for block in wan.transformer.blocks)
