"""`lipar.enable` on stock Wan pipelines: their own results where all is kept, and restored clips where not."""

from typing import Any

import pytest
import torch
from diffusers.models.attention_dispatch import attention_backend
from PIL import Image
from pipeline_toys import (
    FRAMES,
    GRID,
    HEIGHT,
    KINDS,
    WIDTH,
    assert_restored,
    clip,
    graph,
    run,
    some_layout,
    tokens,
)
from wan_toys import object_graph, toy_pipeline, toy_prompt

import lipar
from lipar import TokenLayout, build_config
from lipar.config import Config, ConfigError
from lipar.enabling.target import EnableWarning
from lipar.testing.closeness import assert_near
from lipar_adapters.wan.video_to_video import encode_video, video_to_video


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("kind", KINDS)
def test_keep_all_is_the_stock_pipeline_bit_for_bit(kind: str, dtype: torch.dtype) -> None:
    pipe = toy_pipeline(kind, scheduler="unipc").to(dtype)
    stock = run(pipe, kind)
    lipar.enable(pipe, layout=TokenLayout.keep_all(GRID, has_history=False))
    assert torch.equal(run(pipe, kind), stock)


@pytest.mark.parametrize("kind", KINDS)
def test_disable_leaves_the_object_graph_as_it_was(kind: str) -> None:
    pipe = toy_pipeline(kind)
    stock, before = run(pipe, kind), graph(pipe)
    lipar.enable(pipe, layout=some_layout())
    lipar.enable(pipe, layout=some_layout(1))
    assert not torch.equal(run(pipe, kind), stock)
    lipar.disable(pipe)
    assert graph(pipe) == before
    assert torch.equal(run(pipe, kind), stock)
    lipar.disable(pipe)


@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
def test_velocities_restore_as_copying_after_the_solver_would(
    kind: str, guidance_scale: float, scheduler: str
) -> None:
    pipe, layout = toy_pipeline(kind, scheduler=scheduler), some_layout()
    lipar.enable(pipe, layout=layout)
    end = tokens(run(pipe, kind, guidance_scale=guidance_scale))
    assert_restored(end, layout)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "v2v"])
def test_a_source_decides_what_is_kept(kind: str) -> None:
    pipe = toy_pipeline(kind)
    config = build_config(settings=["prune.keep=0.5"])
    lipar.enable(pipe, config, source=clip())
    run(pipe, kind)
    found = lipar.summary(pipe)
    assert found.forwards == 12
    assert 1 / 3 < found.kept_tokens / found.all_tokens < 1
    by_video = run(pipe, kind)
    lipar.enable(pipe, config, source=encode_video(pipe, clip()))
    assert torch.equal(run(pipe, kind), by_video)


@pytest.mark.parametrize("kind", ["array", "tensor"])
def test_whole_numbers_are_read_as_shades_of_255(kind: str) -> None:
    pipe, video = toy_pipeline("t2v"), (255 * clip()).round().byte()
    unit = video / 255
    if kind == "array":
        read = encode_video(pipe, video.permute(0, 2, 3, 1).numpy())
    else:
        read = encode_video(pipe, video)
    assert_near(read, encode_video(pipe, unit), 1e-5)


def test_pictures_are_a_source_too() -> None:
    pipe = toy_pipeline("t2v")
    pictures = [Image.fromarray((255 * frame).byte().permute(1, 2, 0).numpy()) for frame in clip()]
    lipar.enable(pipe, source=pictures)
    run(pipe, "t2v")
    assert lipar.summary(pipe).forwards == 12


def test_video_to_video_reads_its_own_video() -> None:
    pipe, told = toy_pipeline("v2v"), toy_pipeline("t2v")
    config = build_config(settings=["prune.quantile=0.6"])
    lipar.enable(pipe, config)
    shares = []
    for video in (clip(), torch.rand(FRAMES, 3, HEIGHT, WIDTH)):
        before = lipar.summary(pipe)
        run(pipe, "v2v", video=video)
        found = lipar.summary(pipe)
        kept = (found.kept_tokens - before.kept_tokens) / (found.all_tokens - before.all_tokens)
        lipar.enable(told, config, source=video)
        run(told, "t2v")
        by_source = lipar.summary(told)
        assert kept == by_source.kept_tokens / by_source.all_tokens
        shares.append(kept)
    assert min(shares) < 1


@pytest.mark.parametrize("kind", ["t2v-5b", "t2v-a14b"])
def test_our_own_video_to_video_is_pruned_by_the_same_latents(kind: str) -> None:
    pipe = toy_pipeline(kind)
    source = encode_video(pipe, clip())
    lipar.enable(pipe, build_config(settings=["prune.keep=0.5"]), source=source)
    prompt = toy_prompt()
    video_to_video(pipe, source=source, num_inference_steps=5, output_type="latent", **prompt)
    found = lipar.summary(pipe)
    assert 0 < found.kept_tokens < found.all_tokens


def test_two_experts_share_one_state() -> None:
    pipe = toy_pipeline("t2v-a14b")
    lipar.enable(pipe, layout=some_layout())
    run(pipe, "t2v-a14b", num_inference_steps=12)
    assert lipar.summary(pipe).forwards == 24
    assert not lipar.summary(pipe.transformer_2).enabled  # nothing prunes it but the calls of the pipeline


def test_without_a_source_everything_is_kept_and_said_once() -> None:
    pipe = toy_pipeline("t2v")
    stock = run(pipe, "t2v")
    with pytest.warns(EnableWarning, match="no source and no layout was given") as said:
        lipar.enable(pipe)
    assert len(said) == 1
    assert torch.equal(run(pipe, "t2v"), stock)


@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
@pytest.mark.parametrize(("recheck", "full"), [(None, 3), (2, 5)])
def test_self_redundancy_reads_the_models_own_prediction(
    scheduler: str, recheck: int | None, full: int
) -> None:
    pipe = toy_pipeline("t2v", scheduler=scheduler)
    settings = ["self_redundancy.full_steps=3", "prune.keep=0.4"]
    if recheck is not None:
        settings.append(f"self_redundancy.recheck={recheck}")
    lipar.enable(pipe, build_config(settings=settings))
    counts: list[int] = []

    def watch(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        counts.append(lipar.summary(pipe).kept_tokens)
        return {}

    run(pipe, "t2v", num_inference_steps=8, callback_on_step_end=watch)
    kept = [after - before for before, after in zip([0, *counts], counts, strict=False)]
    whole = 2 * GRID[0] * GRID[1] * GRID[2]
    assert [count == whole for count in kept[:3]] == [True] * 3
    assert sum(count == whole for count in kept) == full
    first = lipar.summary(pipe).kept_tokens
    run(pipe, "t2v", num_inference_steps=8)
    assert lipar.summary(pipe).kept_tokens == 2 * first  # a new run begins with full steps again


def test_a_bare_transformer_tells_steps_by_its_timesteps() -> None:
    pipe = toy_pipeline("t2v")
    settings = ["self_redundancy.full_steps=2", "prune.keep=0.4"]
    lipar.enable(pipe.transformer, build_config(settings=settings))
    before, kept = 0, []
    for level in (900.0, 900.0, 700.0, 400.0, 400.0, 100.0, 900.0):
        with torch.no_grad():
            pipe.transformer(
                torch.randn(1, 16, 3, 4, 6), torch.tensor([level]), toy_prompt()["prompt_embeds"]
            )
        after = lipar.summary(pipe.transformer).kept_tokens
        kept.append(after - before == 18)
        before = after
    assert kept == [True, True, True, False, False, False, True]


@pytest.mark.parametrize("kind", ["t2v", "i2v-a14b"])
def test_an_image_condition_needs_the_image_among_the_tokens(kind: str) -> None:
    config = Config(noise=lipar.config.PartConfig("image-condition"))
    with pytest.raises(ConfigError, match="needs a clean first frame among the tokens"):
        lipar.enable(toy_pipeline(kind), config, source=clip())
    pipe = toy_pipeline("i2v-5b")
    for shift in (False, True):
        config = Config(noise=lipar.config.PartConfig("image-condition", {"shift": shift}))
        lipar.enable(pipe, config, layout=some_layout())
        assert run(pipe, "i2v-5b").isfinite().all()


@pytest.mark.parametrize("restorer", ["copy", "blend"])
@pytest.mark.parametrize("noise", ["filtering", "noisy-chain"])
def test_every_part_that_runs_there_gives_finite_clips(noise: str, restorer: str) -> None:
    pipe = toy_pipeline("t2v-5b")
    settings = [f"noise.name={noise}", f"restorer.name={restorer}"]
    lipar.enable(pipe, build_config(settings=settings), layout=some_layout())
    assert run(pipe, "t2v-5b").isfinite().all()


def test_a_schedule_that_is_not_of_flow_matching_is_refused() -> None:
    from diffusers import UniPCMultistepScheduler

    pipe = toy_pipeline("t2v")
    pipe.scheduler = UniPCMultistepScheduler()
    before = graph(pipe)
    with pytest.raises(TypeError, match="UniPCMultistepScheduler does not follow flow matching"):
        lipar.enable(pipe, layout=some_layout())
    assert graph(pipe) == before


@pytest.mark.parametrize("scheduler", ["euler", "unipc"])
@pytest.mark.parametrize("strength", [0.2, 0.5])
def test_a_start_late_in_the_schedule_knows_its_noise_level(scheduler: str, strength: float) -> None:
    pipe, layout = toy_pipeline("v2v", scheduler=scheduler), some_layout()
    lipar.enable(pipe, layout=layout)
    end = tokens(run(pipe, "v2v", strength=strength))
    assert_restored(end, layout)


def test_an_enabled_transformer_in_a_pipeline_knows_its_noise_level_by_its_timestep() -> None:
    pipe, layout = toy_pipeline("t2v"), some_layout()
    lipar.enable(pipe.transformer, layout=layout)
    end = tokens(run(pipe, "t2v"))
    assert_restored(end, layout)


def test_a_source_of_the_users_goes_before_the_video() -> None:
    pipe = toy_pipeline("v2v")
    lipar.enable(pipe, build_config(settings=["prune.keep=0.4"]), source=clip())
    run(pipe, "v2v", video=None, latents=torch.randn(1, 16, 3, 4, 6))
    found = lipar.summary(pipe)
    assert found.kept_tokens < found.all_tokens


def test_the_summary_knows_of_either_expert() -> None:
    pipe = toy_pipeline("t2v-a14b")
    lipar.enable(pipe, layout=some_layout())
    lipar.disable(pipe.transformer)
    assert lipar.summary(pipe).enabled


def test_latents_without_a_video_are_no_source_and_that_is_said() -> None:
    pipe = toy_pipeline("v2v")
    latents = torch.randn(1, 16, 3, 4, 6, generator=torch.Generator().manual_seed(0))
    stock = run(pipe, "v2v", video=None, latents=latents)
    lipar.enable(pipe)
    with pytest.warns(EnableWarning, match="there is no source"):
        assert torch.equal(run(pipe, "v2v", video=None, latents=latents), stock)


def test_a_transformer_compiled_as_a_whole_is_refused() -> None:
    pipe = toy_pipeline("t2v-a14b")
    pipe.transformer_2 = torch.compile(pipe.transformer_2, backend="eager")
    before = object_graph(pipe.transformer)
    with pytest.raises(TypeError, match="compiled as a whole"):
        lipar.enable(pipe, layout=some_layout())
    in_place = toy_pipeline("t2v")
    in_place.transformer.compile(backend="eager")
    with pytest.raises(TypeError, match="compiled as a whole"):
        lipar.enable(in_place, layout=some_layout())
    assert object_graph(pipe.transformer) == before


def test_what_does_not_fit_is_said() -> None:
    pipe = toy_pipeline("t2v")
    with pytest.raises(ValueError, match="give either a source or a layout"):
        lipar.enable(pipe, source=clip(), layout=some_layout())
    with pytest.raises(ValueError, match="8 pixel frames do not make whole latent frames"):
        lipar.enable(pipe, source=clip(8))
    with pytest.raises(ValueError, match="no autoencoder to encode a video with"):
        lipar.enable(pipe.transformer, source=clip())
    with pytest.raises(ValueError, match=r"source latents are of one video, 1 t c h w; got \[2, 3"):
        lipar.enable(pipe, source=torch.zeros(2, 3, 16, 4, 6))
    with pytest.raises(ValueError, match=r"have 16 channels in this model; got \[1, 3, 12, 4, 6\]"):
        lipar.enable(pipe, source=torch.zeros(1, 3, 12, 4, 6))
    with pytest.raises(ValueError, match="values that are not finite"):
        lipar.enable(pipe, source=torch.full((1, 3, 16, 4, 6), torch.nan))
    lipar.enable(pipe, source=clip(5))
    with pytest.raises(
        ValueError, match="the source has 5 frames of 48x32 pixels, but 9 frames of 48x32 pixels are"
    ):
        run(pipe, "t2v")
    with pytest.raises(ConfigError, match="self_redundancy"):
        build_config(settings=["self_redundancy.full_steps=0"])
    with pytest.raises(ConfigError, match="set full_steps as well"):
        build_config(settings=["self_redundancy.recheck=3"])


def switch_on(change: str, transformer: Any) -> None:
    if change == "fused":
        transformer.fuse_qkv_projections()
    elif change == "backend":
        with attention_backend("native"):  # a model's backend is set for the whole process as well
            transformer.set_attention_backend("_native_math")
    elif change == "layerwise":
        transformer.enable_layerwise_casting(storage_dtype=torch.float16, compute_dtype=torch.float32)
    elif change == "compiled":
        for block in transformer.blocks:
            block.compile(backend="eager")


@pytest.mark.parametrize("lipar_first", [False, True])
@pytest.mark.parametrize("change", ["fused", "backend", "layerwise", "compiled"])
def test_it_works_with_other_features(change: str, lipar_first: bool) -> None:
    """Pruned results stay what they are, but for what a feature itself rounds."""
    plain, pipe, layout = toy_pipeline("t2v"), toy_pipeline("t2v"), some_layout()
    lipar.enable(plain, layout=layout)
    if lipar_first:
        lipar.enable(pipe, layout=layout)
    switch_on(change, pipe.transformer)
    if not lipar_first:
        lipar.enable(pipe, layout=layout)
    try:
        found = run(pipe, "t2v")
    finally:
        torch._dynamo.reset()
    rounded = 2e-3 if change == "layerwise" else 1e-5
    assert_near(found, run(plain, "t2v"), rounded)


def test_a_callback_changes_nothing() -> None:
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=some_layout())
    watched = run(pipe, "t2v", callback_on_step_end=lambda pipe, step, timestep, tensors: tensors)
    assert torch.equal(watched, run(pipe, "t2v"))


def cache_configs(pipe: Any) -> dict[str, Any]:
    from diffusers import FirstBlockCacheConfig, PyramidAttentionBroadcastConfig
    from diffusers.hooks import MagCacheConfig, TaylorSeerCacheConfig

    return {
        "first-block": FirstBlockCacheConfig(threshold=0.2),
        "pyramid": PyramidAttentionBroadcastConfig(
            spatial_attention_block_skip_range=2, current_timestep_callback=lambda: pipe.current_timestep
        ),
        "mag": MagCacheConfig(num_inference_steps=6, mag_ratios=torch.ones(12), retention_ratio=0.2),
        "taylor-seer": TaylorSeerCacheConfig(cache_interval=2),
    }


@pytest.mark.parametrize("lipar_first", [False, True])
@pytest.mark.parametrize("name", ["first-block", "pyramid", "mag", "taylor-seer"])
def test_the_caches_of_diffusers_work_on_the_kept_tokens(name: str, lipar_first: bool) -> None:
    pipe, layout = toy_pipeline("t2v"), some_layout()
    if lipar_first:
        lipar.enable(pipe, layout=layout)
    pipe.transformer.enable_cache(cache_configs(pipe)[name])
    if not lipar_first:
        lipar.enable(pipe, layout=layout)
    end = tokens(run(pipe, "t2v"))
    assert_restored(end, layout)
    other = some_layout(3)
    assert other.kept_count != layout.kept_count
    lipar.enable(pipe, layout=other)
    assert run(pipe, "t2v").isfinite().all()
    lipar.disable(pipe)
    pipe.transformer.disable_cache()
    assert torch.equal(run(pipe, "t2v"), run(toy_pipeline("t2v"), "t2v"))


def test_a_cache_over_steps_and_a_layout_that_changes_between_them_are_refused() -> None:
    pipe = toy_pipeline("t2v")
    pipe.transformer.enable_cache(cache_configs(pipe)["first-block"])
    config = build_config(settings=["self_redundancy.full_steps=2", "prune.keep=0.4"])
    lipar.enable(pipe, config)
    with pytest.raises(RuntimeError, match=r"FirstBlockCacheConfig .* self_redundancy"):
        run(pipe, "t2v")


@pytest.mark.parametrize("lipar_first", [False, True])
def test_cache_dit_works_on_the_kept_tokens(lipar_first: bool) -> None:
    cache_dit = pytest.importorskip("cache_dit", reason="cache-dit is not installed: tox -e features")
    pipe, layout = toy_pipeline("t2v"), some_layout()
    settings = cache_dit.DBCacheConfig(
        Fn_compute_blocks=1, Bn_compute_blocks=0, residual_diff_threshold=0.5, max_warmup_steps=1
    )
    if lipar_first:
        lipar.enable(pipe, layout=layout)
    cache_dit.enable_cache(pipe, cache_config=settings)
    if not lipar_first:
        lipar.enable(pipe, layout=layout)
    end = tokens(run(pipe, "t2v"))
    assert_restored(end, layout)
    cache_dit.disable_cache(pipe)
    lipar.disable(pipe)
    assert torch.equal(run(pipe, "t2v"), run(toy_pipeline("t2v"), "t2v"))


@pytest.mark.parametrize("lipar_first", [False, True])
def test_a_lora_acts_on_the_kept_tokens(lipar_first: bool) -> None:
    peft = pytest.importorskip("peft", reason="peft is not installed: tox -e features")
    adapter = peft.LoraConfig(
        r=2, lora_alpha=4, init_lora_weights=False, target_modules=["to_q", "to_k", "to_v"]
    )
    pipe = toy_pipeline("t2v")
    everything = TokenLayout.keep_all(GRID, has_history=False)
    if lipar_first:
        lipar.enable(pipe, layout=everything)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        pipe.transformer.add_adapter(adapter)
    pipe.transformer.eval()
    if not lipar_first:
        lipar.enable(pipe, layout=everything)
    adapted = run(pipe, "t2v")
    lipar.disable(pipe)
    assert torch.equal(run(pipe, "t2v"), adapted)
    assert not torch.equal(run(toy_pipeline("t2v"), "t2v"), adapted)


@pytest.mark.parametrize("lipar_first", [False, True])
def test_group_offload_moves_what_lipar_prunes(lipar_first: bool) -> None:
    pipe, layout = toy_pipeline("t2v"), some_layout()
    lipar.enable(pipe, layout=layout)
    pruned = run(pipe, "t2v")
    if not lipar_first:
        lipar.disable(pipe)
    pipe.transformer.enable_group_offload(
        onload_device=torch.device("cpu"),
        offload_device=torch.device("cpu"),
        offload_type="block_level",
        num_blocks_per_group=1,
    )
    if not lipar_first:
        lipar.enable(pipe, layout=layout)
    assert torch.equal(run(pipe, "t2v"), pruned)


def test_a_given_layout_is_left_as_it_was() -> None:
    layout = some_layout()
    mask = layout.keep_mask.clone()
    pipe = toy_pipeline("t2v")
    lipar.enable(pipe, layout=layout)
    run(pipe, "t2v")
    assert torch.equal(layout.keep_mask, mask)
