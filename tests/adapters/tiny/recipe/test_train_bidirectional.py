"""Training of the bidirectional model."""

from pathlib import Path

import torch
from diffusers import WanTransformer3DModel

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.parts import WEIGHTS, load_text, load_vae
from lipar_adapters.tiny.recipe.latent_pool import Grid, make_chunk
from lipar_adapters.tiny.recipe.train_bidirectional import (
    LAYERS,
    Judge,
    begin_from,
    flow_error,
    grid_for,
    load_start,
    noise_clips,
    train_bidirectional,
)
from lipar_adapters.tiny.recipe.training import Budget

SMALL = Grid(2, 2, 2)


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


def test_grids_take_all_lengths_and_shapes() -> None:
    early, middle, late = ({grid_for(at, number) for number in range(24)} for at in (0.0, 0.5, 0.9))
    assert early == {Grid(8, 8)} and {grid.frames for grid in middle} == {5, 7, 9}
    assert any(grid.rows > grid.columns for grid in late) and any(grid.rows < grid.columns for grid in late)


def test_a_resumed_sibling_has_the_same_weights(library: Library, tmp_path: Path) -> None:
    autoencoder = load_vae(WEIGHTS)
    tokenizer, text_encoder = load_text(WEIGHTS)

    def train(out: Path, resume: bool = False, stop: int | None = None) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        small = WanTransformer3DModel(
            num_attention_heads=2, attention_head_dim=16, in_channels=16, out_channels=16, text_dim=64, freq_dim=32,
            ffn_dim=32, num_layers=1, cross_attn_norm=True,
        )  # fmt: skip
        trained = train_bidirectional(
            out, autoencoder, text_encoder, tokenizer, small, library, library, Budget(steps=3), resume=resume,
            tokens=24, scenes_each=2, refresh=2, capacity=1, grids=lambda progress, number: SMALL, stop_steps=stop,
            judge_every=2, judged_clips=1, judged_grid=SMALL,
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
