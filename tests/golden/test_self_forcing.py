"""Parity with the original Self-Forcing code on tiny random weights: every flow, the cache, each stage of a layer."""

import json
import re

import pytest
import torch
from golden_files import (
    equal_but_for_half,
    facts,
    recorded_noise,
    repeat,
    tensors,
    tiny_model,
    tiny_transformer,
    with_engines,
)

from lipar.attention.rope import RotaryEmbedding, prepare_rotation, rotate
from lipar.config import CacheConfig, Config, PruneConfig
from lipar.hookspecs import hookimpl
from lipar.protocols import ForwardPass
from lipar.sampling.flow import warped_sigmas
from lipar.sampling.steps import TRAIN_STEPS
from lipar.testing.closeness import assert_near, error
from lipar_adapters.wan.checkpoints import infer_config, load_transformer, read_checkpoint
from lipar_adapters.wan.timesteps import Float64Timesteps

RUNS = ["sf_main", "sf_local_sink", "sf_fullres_60x104"]


@pytest.fixture(scope="module", params=with_engines(RUNS))
def run(request, shared):
    name, engine = request.param
    path = shared / "golden" / "G2" / f"{name}.safetensors"
    golden, described = tensors(path), facts(path)
    sink, window = described["sink_size"], max(described["local_attn_size"], 0)
    model = tiny_model(
        shared / "golden",
        golden["prompt_embeds_first23_f16"],
        sink_frames=sink,
        # the original's window includes the sink
        window_frames=window - sink if window else 0,
    )
    config = Config(
        strength=None,
        steps=tuple(described["denoising_step_list"]),
        prune=PruneConfig(tau_short=1.0, tau_long=1.0, scene_cuts=False),
        cache=CacheConfig(positions="absolute"),
    )
    noise = golden["noise_f16"].float()
    return repeat(
        model,
        config,
        torch.zeros_like(noise),
        recorded_noise(noise, golden),
        golden,
        dense=True,
        engine=engine,
    )


def test_every_flow_is_the_originals(run):
    golden = {
        (int(block), -1 if step == "ctx" else int(step[1:])): name
        for name in run.golden
        for block, step in re.findall(r"^b(\d+)\.(ctx|s\d+)\.flow$", name)
    }
    for when, name in golden.items():
        assert error(run.flows[when][0], run.golden[name]) < 3e-5, name


def test_every_clean_estimate_is_the_originals(run):
    half = [name for name in run.golden if re.match(r"b\d+\.s\d+\.x0_f16", name)]
    # the run at the real grid stores four channels; it has one step, whose estimate is the block's result
    for name in half:
        block = int(name[1])
        assert equal_but_for_half(run.blocks[block].latents[:, :, [0, 4, 8, 12]], run.golden[name]), name


def test_the_video_is_the_originals(run):
    golden = run.golden["final_latents"]
    if golden.dtype == torch.float16:
        assert equal_but_for_half(run.final, golden)
    else:
        assert error(run.final, golden) < 3e-5


def test_the_cache_after_each_stored_block_is_the_originals(run):
    for name in run.golden:
        if not name.startswith("kv."):
            continue
        block, layer, which = re.match(r"kv\.b(\d+)\.layer(\d+)\.([kv])", name).groups()
        _, k_rotated, v = run.caches[int(block)][int(layer)]
        assert equal_but_for_half(k_rotated if which == "k" else v, run.golden[name]), name


def test_noise_levels_are_the_originals(shared):
    golden = tensors(shared / "golden" / "G2" / "sf_main.safetensors")
    every_step = warped_sigmas(range(TRAIN_STEPS, 0, -1), shift=5.0)
    # the stored levels were rounded by the original's float32 kernels
    assert_near(torch.tensor(every_step), golden["scheduler_sigmas"], 4e-6)
    told = [ForwardPass.at(0, sigma).timestep for sigma in every_step]
    assert_near(torch.tensor(told), golden["scheduler_timesteps"], 4e-6)


@pytest.fixture(scope="module")
def probes(shared):
    return tensors(shared / "golden" / "G2" / "probes.safetensors")


def test_rotary_angles_are_the_originals(probes):
    rope = RotaryEmbedding(32)
    rows = torch.arange(64)
    cos, sin = rope.rotation(rows, rows, rows)
    assert torch.equal(cos, probes["freqs.real"])
    assert torch.equal(sin, probes["freqs.imag"])


@pytest.mark.parametrize("start", [0, 3, 18])
def test_rotation_at_a_start_frame_is_the_originals(probes, start):
    rotation = RotaryEmbedding(32).grid_rotation(torch.arange(start, start + 3), 8, 12)
    assert (
        error(rotate(probes["rope.input"], prepare_rotation(rotation)), probes[f"rope.start{start}"]) < 1e-6
    )


def test_time_and_text_embeddings_are_the_originals(probes, shared):
    transformer = tiny_transformer(shared / "golden")
    embedder = transformer.condition_embedder
    prompt = torch.zeros(1, 512, 64)
    run = tensors(shared / "golden" / "G2" / "sf_main.safetensors")
    prompt[0, :23] = run["prompt_embeds_first23_f16"].float()
    with torch.no_grad():
        sinusoid = Float64Timesteps(256)(probes["time.t"])
        time, projected, text, _ = embedder(probes["time.t"], prompt)
    assert error(sinusoid, probes["time.sinusoid"]) < 1e-6
    assert error(time, probes["time.e"]) < 3e-5
    assert error(projected.unflatten(1, (6, -1)), probes["time.e0"]) < 3e-5
    assert error(text, probes["text.context"]) < 3e-5


def test_every_stage_of_the_first_pass_is_the_originals(probes, shared):
    run = tensors(shared / "golden" / "G2" / "sf_main.safetensors")
    model = tiny_model(shared / "golden", run["prompt_embeds_first23_f16"], sink_frames=0, window_frames=0)
    seen = {}

    def remember(name):
        return lambda module, args, output: seen.update({name: output.detach().clone()})

    transformer = model.transformer
    stages = {
        "patch_embedding.out": transformer.patch_embedding,
        "layer0.self_attn.out": transformer.blocks[0].attn1,
        "layer0.cross_attn.out": transformer.blocks[0].attn2,
        **{f"layer{i}.out": block for i, block in enumerate(transformer.blocks)},
    }
    for name, module in stages.items():
        module.register_forward_hook(remember(name))
    config = Config(
        strength=None,
        steps=(1000,),
        prune=PruneConfig(tau_short=1.0, tau_long=1.0),
        cache=CacheConfig(positions="absolute"),
    )
    first = {}

    class First:
        @hookimpl(wrapper=True)
        def lipar_forward(self, forward_pass):
            flow = yield
            if not forward_pass.clean:
                first.update(seen, flow=flow)
            return flow

    noise = probes["probe.input"]
    repeat(model, config, torch.zeros_like(noise), recorded_noise(noise, {}), {}, First(), dense=True)
    for name in stages:
        assert error(first[name].reshape_as(probes[name]), probes[name]) < 3e-5, name
    assert error(first["flow"], probes["probe.flow"]) < 3e-5


def test_the_checkpoint_loads_with_nothing_missing_and_nothing_left(shared):
    folder = shared / "golden" / "G2"
    mapping = json.loads((folder / "key_mapping.json").read_text())
    state = read_checkpoint(folder / "tiny_checkpoint.pt")
    config = infer_config(state, 32)
    assert config == mapping["diffusers_config"]
    loaded = load_transformer(folder / "tiny_checkpoint.pt", dtype=torch.float32, config=config).state_dict()
    renamed = mapping["mapping_original_to_diffusers"]
    assert set(renamed.values()) == set(loaded)
    for original, diffusers in renamed.items():
        assert torch.equal(loaded[diffusers], state[original.removeprefix("model.")]), original
