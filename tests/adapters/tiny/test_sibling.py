"""The bidirectional sibling: its training pass, its recipe, and its place in stock diffusers pipelines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import diffusers
import numpy as np
import PIL.Image
import pytest
import torch
from diffusers import WanTransformer3DModel

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny import pipeline
from lipar_adapters.tiny.clips.library import Library, build_library
from lipar_adapters.tiny.parts import BIDIRECTIONAL, WEIGHTS, load_config, load_text, load_vae
from lipar_adapters.tiny.recipe.export import export_bidirectional
from lipar_adapters.tiny.recipe.latent_pool import Grid, draw_look, make_chunk
from lipar_adapters.tiny.recipe.lean_forward import bidirectional_flow
from lipar_adapters.tiny.recipe.train_bidirectional import (
    LAYERS,
    Judge,
    begin_from,
    embed_captions,
    flow_error,
    grid_for,
    load_start,
    noise_clips,
    train_bidirectional,
)
from lipar_adapters.tiny.recipe.training import Budget
from lipar_adapters.tiny.text import tokenize
from lipar_adapters.tiny.wan_interface import TinyWanAutoencoder

SMALL = Grid(2, 2, 2)


@pytest.fixture(scope="module")
def start() -> WanTransformer3DModel:
    """The untrained sibling: some of the causal model's layers."""
    causal = WanTransformer3DModel.from_pretrained(WEIGHTS / "transformer", local_files_only=True)
    return begin_from(causal).eval()


@pytest.fixture(scope="module")
def folder(start: WanTransformer3DModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights with an untrained sibling among them."""
    folder = tmp_path_factory.mktemp("weights")
    for part in WEIGHTS.iterdir():
        if part.name != BIDIRECTIONAL:
            (folder / part.name).symlink_to(part)
    export_bidirectional(start, folder)
    return folder


@pytest.fixture(scope="module")
def vae() -> TinyWanAutoencoder:
    return TinyWanAutoencoder.around(load_vae(WEIGHTS), 0.1, 0.2)


@pytest.fixture(scope="module")
def library() -> Library:
    return build_library("cpu", None, textures=2, shapes=4)


def test_exported_weights_do_not_say_where_they_were_made(folder: Path) -> None:
    for config in (folder / BIDIRECTIONAL, WEIGHTS / BIDIRECTIONAL):
        assert "_name_or_path" not in (config / "config.json").read_text()


@torch.no_grad()
@pytest.mark.parametrize("image", [True, False])
def test_the_training_pass_is_the_stock_one_with_a_timestep_per_token(
    start: WanTransformer3DModel, image: bool
) -> None:
    noisy, text = torch.randn(2, 3, 16, 8, 12), torch.randn(2, 30, 64)
    timesteps = torch.tensor([[500.0] * 3, [930.0] * 3])
    timesteps[:, 0] *= not image
    lean = bidirectional_flow(start, noisy, timesteps, text)
    per_token = timesteps.repeat_interleave(4 * 6, 1)
    stock = start(noisy.transpose(1, 2), per_token, text).sample.transpose(1, 2)
    assert_near(lean, stock, 2e-5)


def test_an_image_is_never_noised_and_out_of_the_loss(start: WanTransformer3DModel) -> None:
    clean, noise = torch.randn(2, 3, 16, 4, 4), torch.randn(2, 3, 16, 4, 4)
    sigma, has_image = torch.tensor([0.5, 0.9]), torch.tensor([True, False])
    noisy, levels = noise_clips(clean, noise, sigma, has_image)
    assert torch.equal(noisy[0, 0], clean[0, 0])
    assert torch.equal(levels, torch.tensor([[0.0, 0.5, 0.5], [0.9, 0.9, 0.9]]))
    assert_near(noisy[1], 0.1 * clean[1] + 0.9 * noise[1], 2e-6)

    def errors(noise: torch.Tensor) -> torch.Tensor:
        text = torch.zeros(2, 4, 64)
        with torch.no_grad():
            return flow_error(start, clean, noise, sigma, has_image, text, torch.float32)

    other = noise.clone()
    other[:, 0] += 1
    before, after = errors(noise), errors(other)
    assert before[0] == after[0] and before[1] != after[1]


def test_the_sibling_begins_from_layers_of_the_causal_model(start: WanTransformer3DModel) -> None:
    causal = WanTransformer3DModel.from_pretrained(WEIGHTS / "transformer", local_files_only=True)
    for place, layer in enumerate(LAYERS):
        assert torch.equal(start.blocks[place].ffn.net[2].weight, causal.blocks[layer].ffn.net[2].weight)
    assert torch.equal(start.proj_out.weight, causal.proj_out.weight)


def test_training_goes_on_from_a_sibling_where_there_is_one(
    folder: Path, start: WanTransformer3DModel
) -> None:
    again = load_start(folder)
    assert next(again.parameters()).dtype == torch.float32
    for one, other in zip(start.parameters(), again.parameters(), strict=True):
        assert torch.equal(one.bfloat16(), other.bfloat16())


def test_clips_for_image_to_video_begin_with_one_pixel_frame(library: Library) -> None:
    tokenizer, _ = load_text(WEIGHTS)
    coder = load_vae(WEIGHTS)
    chunk = make_chunk(3, Grid(2, 2, 3), coder, library, tokenizer, 2, edits=1, first_frame_alone=True)
    assert chunk.source is None and chunk.target.shape == (2, 1, 3, 16, 4, 4)
    first = coder.decode(chunk.target[:, 0])[0][:, :4]
    assert (first - first[:, :1]).abs().max() < 0.1


def test_looks_of_their_own_are_mostly_plain_and_never_recoloured() -> None:
    rng = np.random.default_rng(0)
    drawn = [draw_look(rng) for _ in range(300)]
    assert not any(change for _, _, change in drawn)
    assert 0.5 < np.mean([look == "photo" for look, _, _ in drawn]) < 0.7


def test_grids_take_all_lengths_and_shapes() -> None:
    early, middle, late = ({grid_for(at, number) for number in range(24)} for at in (0.0, 0.5, 0.9))
    assert early == {Grid(8, 8)} and {grid.frames for grid in middle} == {5, 7, 9}
    assert any(grid.rows > grid.columns for grid in late) and any(grid.rows < grid.columns for grid in late)


def test_a_resumed_sibling_has_the_same_weights(library: Library, tmp_path: Path) -> None:
    coder = load_vae(WEIGHTS)
    tokenizer, text_encoder = load_text(WEIGHTS)

    def train(out: Path, resume: bool = False, stop: int | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        small = WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=16, out_channels=16, text_dim=64, freq_dim=32,
            ffn_dim=32, num_layers=1, cross_attn_norm=True,
        )  # fmt: skip
        trained = train_bidirectional(
            out, coder, text_encoder, tokenizer, small, library, library, Budget(steps=3), resume=resume, tokens=24,
            scenes_each=2, refresh=2, capacity=1, grids=lambda progress, number: SMALL, stop_steps=stop, judge_every=2,
            judged_clips=1, judged_grid=SMALL,
        )  # fmt: skip
        return dict(trained.named_parameters())

    whole = train(tmp_path / "whole")
    partly = train(tmp_path / "broken", stop=2)
    resumed = train(tmp_path / "broken", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    assert not all(torch.equal(whole[name], partly[name]) for name in whole)


def test_the_judge_says_the_same_of_the_same_weights(library: Library, start: WanTransformer3DModel) -> None:
    tokenizer, text_encoder = load_text(WEIGHTS)
    chunk = make_chunk(0, SMALL, load_vae(WEIGHTS), library, tokenizer, 1, edits=1, first_frame_alone=True)
    judge = Judge(chunk, text_encoder, torch.float32)
    first = judge(start)
    assert first == judge(start)
    assert first != judge(begin_from(start, (0, 1)))


@pytest.mark.parametrize("frames", [1, 5, 21, 33])
@torch.no_grad()
def test_a_clip_of_one_and_four_times_n_frames_comes_back_as_long(
    vae: TinyWanAutoencoder, frames: int
) -> None:
    slow = (
        torch.linspace(-0.5, 0.5, 32)[None, :].expand(32, -1) + torch.linspace(0, 0.3, frames)[:, None, None]
    )
    clip = slow[None, None].expand(1, 3, -1, -1, -1).contiguous()
    latents = vae.encode(clip).latent_dist.mode()
    assert latents.shape == (1, 16, 1 + (frames - 1) // 4, 4, 4)
    assert torch.equal(latents, vae.encode(clip, return_dict=False)[0].sample())
    back = vae.decode(latents, return_dict=False)[0]
    assert back.shape == clip.shape
    assert (back - clip).abs().mean() < 0.08
    assert torch.equal(back, vae.decode(latents).sample)


@torch.no_grad()
def test_the_first_latent_frame_is_that_of_the_image_alone(vae: TinyWanAutoencoder) -> None:
    clip = torch.rand(1, 3, 9, 32, 48) * 2 - 1
    whole, alone = (vae.encode(part).latent_dist.mode() for part in (clip, clip[:, :, :1]))
    assert_near(whole[:, :, :1], alone, 2e-5)


@torch.no_grad()
def test_a_stream_gives_what_the_whole_clip_gives(
    vae: TinyWanAutoencoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = torch.rand(1, 3, 25, 16, 16) * 2 - 1
    latents = vae.encode(clip).latent_dist.mode()
    pixels = vae.decode(latents).sample
    monkeypatch.setattr("lipar_adapters.tiny.wan_interface.LATENTS_TOGETHER", 100)
    assert_near(vae.encode(clip).latent_dist.mode(), latents, 1e-5)
    assert_near(vae.decode(latents).sample, pixels, 1e-5)


def test_other_numbers_of_frames_are_refused(vae: TinyWanAutoencoder) -> None:
    with pytest.raises(ValueError, match="12 pixel frames are not 1 \\+ 4n; trim them to 9"):
        vae.encode(torch.zeros(1, 3, 12, 16, 16))


def test_the_autoencoder_says_what_pipelines_ask(vae: TinyWanAutoencoder, folder: Path) -> None:
    config = vae.config
    assert (config.z_dim, config.scale_factor_spatial, config.scale_factor_temporal) == (16, 8, 4)
    assert config.latents_mean == [0.0] * 16 and config.latents_std == [1.0] * 16
    assert 2 ** len(vae.temperal_downsample) == 8 and 2 ** sum(vae.temperal_downsample) == 4
    pipe = pipeline.image_to_video_pipeline(folder=folder)
    assert pipe.vae.tau_short == load_config()["tau_short"]


@torch.no_grad()
def test_text_is_what_the_sibling_was_trained_with(folder: Path) -> None:
    pipe = pipeline.image_to_video_pipeline(folder=folder)
    prompts = ["pencil sketch, a red ball", ""]
    given, _ = pipe.encode_prompt(prompts, do_classifier_free_guidance=False, max_sequence_length=512)
    trained = embed_captions(pipe.text_encoder, tokenize(pipe.tokenizer, prompts))
    assert given.shape == trained.shape
    assert_near(given, trained, 1e-5)


IMAGE = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 48, 3), dtype=np.uint8))
SIZE: dict[str, Any] = {"height": 32, "width": 48, "num_frames": 5, "num_inference_steps": 2}
RUNS: dict[str, tuple[Callable[..., Any], str, dict[str, Any]]] = {
    "image": (pipeline.image_to_video_pipeline, "WanImageToVideoPipeline", {"image": IMAGE, **SIZE}),
    "text": (pipeline.text_to_video_pipeline, "WanPipeline", SIZE),
    "video": (
        pipeline.video_to_video_pipeline,
        "WanVideoToVideoPipeline",
        {"video": [IMAGE] * 5, "height": 32, "width": 48, "num_inference_steps": 4, "strength": 0.5},
    ),
}


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("door", RUNS)
def test_stock_pipelines_run(folder: Path, door: str, dtype: torch.dtype) -> None:
    make, kind, arguments = RUNS[door]
    pipe = make("cpu", dtype, folder)
    assert type(pipe) is getattr(diffusers, kind)
    pipe.set_progress_bar_config(disable=True)
    clip = pipe(prompt="night", **arguments, guidance_scale=2.0, generator=torch.Generator().manual_seed(0))
    assert clip.frames.shape == (1, 5, 32, 48, 3) and np.isfinite(clip.frames).all()


def test_a_saved_pipeline_loads_as_any_other(folder: Path, tmp_path: Path) -> None:
    pipe = pipeline.image_to_video_pipeline(folder=folder)
    pipe.save_pretrained(tmp_path)
    again = diffusers.WanImageToVideoPipeline.from_pretrained(tmp_path, local_files_only=True)
    for name in ("transformer", "vae", "text_encoder"):
        saved, loaded = getattr(pipe, name).state_dict(), getattr(again, name).state_dict()
        assert all(torch.equal(saved[key], loaded[key]) for key in saved), name
    pixels = torch.rand(1, 3, 5, 16, 16) * 2 - 1
    with torch.no_grad():
        one, other = (some.vae.encode(pixels).latent_dist.mode() for some in (pipe, again))
    assert torch.equal(one, other)


def test_a_folder_without_a_sibling_is_told(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="has no bidirectional model"):
        pipeline.image_to_video_pipeline(folder=tmp_path)


def test_a_sibling_fits_beside_the_causal_model(folder: Path) -> None:
    sizes = {path.name: path.stat().st_size for path in (folder / BIDIRECTIONAL).iterdir()}
    others = sum(
        path.stat().st_size
        for path in WEIGHTS.rglob("*")
        if path.is_file() and BIDIRECTIONAL not in path.parts
    )
    assert sum(sizes.values()) + others <= 16_000_000
