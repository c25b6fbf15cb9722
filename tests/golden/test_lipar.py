"""Parity with the LIPAR authors' pruned model: masks bit for bit, flows of the kept tokens, cache, final video."""

import re

import pytest
import torch
from golden_files import (
    GivenMasks,
    equal_but_for_half,
    facts,
    recorded_noise,
    repeat,
    tensors,
    tiny_model,
    with_engines,
)

from lipar import build_config
from lipar.layout import patchify
from lipar.testing.closeness import error

RUNS = [
    "v1_full",
    "v1_full_randmask",
    "v1_full_wanreal_t0.1",
    "v1_mapprox_only",
    "v1_prune_only",
    "v1_noprune",
]


def repeat_run(folder, name, engine="eager"):
    """Repeat a run of the authors' code; its switches become settings of the preset `released`."""
    path = folder / "G3" / f"{name}.safetensors"
    described = facts(path)
    golden = {**tensors(folder / "G3" / described["inputs"]), **tensors(path)}
    sink, window = described.get("trim_kv") or (0, 0)
    settings = [
        f"steps={described['denoising_step_list']}",
        f"cache.sink_frames={sink}",
        f"cache.window_frames={window}",
        f"recovery={'m-degree' if described['is_unprune_kv'] else 'none'}",
        f"noise={'kv-cache' if described['from_memory'] else 'noisy-chain'}",
    ]
    masks = []
    if isinstance(described["mask_info"], dict) and described["mask_info"]:
        settings.append(f"prune.tau_short={described['mask_info']['drop_param']}")
        settings.append(f"prune.tau_long={described['mask_info']['drop_param2']}")
    elif described["is_prune"]:
        masks.append(GivenMasks(golden["prune_mask_tokens"].bool()))
    source = golden["source_latent_f16"].float()
    return repeat(
        tiny_model(folder, golden["prompt_embeds_first23_f16"]),
        build_config(preset="released", settings=settings),
        source if source.ndim == 5 else source[None],
        recorded_noise(golden["init_eps_f16"], golden),
        golden,
        *masks,
        dense=not described["is_prune"],
        engine=engine,
    )


@pytest.fixture(scope="module", params=with_engines(RUNS))
def run(request, shared):
    return repeat_run(shared / "golden", *request.param)


@pytest.fixture(scope="module")
def empty_block(shared):
    """A run of the authors' later code (v2), since the released v1 crashes on a block without a kept token."""
    return repeat_run(shared / "golden", "v2_full_emptyblock")


def test_every_mask_is_the_authors_bit_for_bit(run):
    golden = run.golden.get("prune_mask_tokens")
    assert torch.equal(run.keep_mask, torch.ones_like(run.keep_mask) if golden is None else golden.bool())


def test_every_flow_of_the_kept_tokens_is_the_authors(run):
    for name in run.golden:
        found = re.match(r"b(\d+)\.(mem|s\d+)\.flow_kept", name)
        if found:
            flow, layout = run.flows[int(found[1]), -1 if found[2] == "mem" else int(found[2][1:])]
            assert error(layout.prune(patchify(flow, 2))[0], run.golden[name].flatten(1)) < 3e-5, name


def test_the_video_is_the_authors(run):
    golden = run.golden["final_latents"]
    if golden.dtype == torch.float16:
        assert equal_but_for_half(run.final, golden)
    else:
        assert error(run.final, golden) < 3e-5


def cached(run, pattern):
    """The stored rows of a cache: name, golden tensor, and our (k, k_rotated, v)."""
    for name, golden in run.golden.items():
        found = re.match(rf"kv\.b(\d+)\.layer(\d+)\.{pattern}$", name)
        if found:
            yield name, golden, run.caches[int(found[1])][int(found[2])]


def test_the_cache_after_each_stored_block_is_the_authors(run):
    for name, golden, (_, k_rotated, v) in cached(run, "[kv]"):
        assert equal_but_for_half(k_rotated if name.endswith("k") else v, golden), name


def test_the_clean_donors_after_each_stored_block_are_the_authors(run):
    for name, golden, (k, _, v) in cached(run, "unrope_prev_[kv]"):
        last_frame = (k if name.endswith("k") else v)[-golden.shape[0] :]
        assert equal_but_for_half(last_frame, golden), name


def test_a_block_without_a_kept_token_repeats_the_frame_before_it_and_the_stream_goes_on(empty_block):
    run, empty = empty_block, 2
    assert run.blocks[empty].layout.kept_count == 0
    assert (empty, 0) not in run.flows
    assert (empty + 1, 0) in run.flows
    before = run.blocks[empty - 1].latents[:, -1:]
    assert torch.equal(run.blocks[empty].latents, before.expand_as(run.blocks[empty].latents))


def test_the_cache_after_a_block_without_a_kept_token_is_the_authors(empty_block):
    for name, golden, (_, k_rotated, v) in cached(empty_block, "[kv]"):
        assert equal_but_for_half(k_rotated if name.endswith("k") else v, golden), name
    for name, golden, (k, _, v) in cached(empty_block, "unrope_prev_[kv]"):
        assert equal_but_for_half((k if name.endswith("k") else v)[-golden.shape[0] :], golden), name


def test_the_kept_tokens_around_a_block_without_any_are_the_authors(empty_block):
    # not the pruned tokens: v2 restores all of them from the previous block, even if kept earlier in this one
    for block in empty_block.blocks:
        theirs = empty_block.golden["final_latents"][:, block.first_frame : block.first_frame + 3]
        ours, theirs = (block.layout.prune(patchify(x, 2)) for x in (block.latents, theirs))
        assert block.layout.kept_count == 0 or error(ours, theirs) < 3e-5, block.first_frame
