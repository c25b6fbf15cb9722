"""Training of the causal transformer."""

from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel

from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.parts import load_text
from lipar_adapters.tiny.recipe.export import export_text_and_transformer
from lipar_adapters.tiny.recipe.latent_pool import Grid
from lipar_adapters.tiny.recipe.train_transformer import train_transformer
from lipar_adapters.tiny.recipe.training import Budget


def test_a_resumed_transformer_has_the_same_weights(library: Library, tmp_path: Path) -> None:
    torch.manual_seed(0)
    vae = TinyVideoAutoencoder(widths=(4, 4, 4))

    def train(out: Path, resume: bool = False, stop: int | None = None) -> dict[str, torch.Tensor]:
        transformer, _, _ = train_transformer(
            out, vae, library, Budget(steps=3), resume=resume, tokens=72, scenes_each=2, refresh=2, capacity=1,
            grids=lambda progress, number: Grid(2, 2), stop_steps=stop, num_layers=1, num_attention_heads=2, ffn_dim=32,
        )  # fmt: skip
        return dict(transformer.named_parameters())

    whole = train(tmp_path / "whole")
    train(tmp_path / "broken", stop=2)
    resumed = train(tmp_path / "broken", resume=True)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_a_transformer_goes_on_from_exported_weights_and_can_leave_the_text_as_it_is(
    library: Library, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    vae = TinyVideoAutoencoder(widths=(4, 4, 4))

    def train(steps: int, start: Path | None, frozen: bool) -> tuple[Any, Any]:
        transformer, text_encoder, tokenizer = train_transformer(
            tmp_path / f"{steps}-{frozen}", vae, library, Budget(steps=steps), tokens=72, scenes_each=2, refresh=2,
            capacity=1, grids=lambda progress, number: Grid(2, 2), start_from=start, freeze_text=frozen,
            num_layers=1, num_attention_heads=2, ffn_dim=32,
        )  # fmt: skip
        export_text_and_transformer(transformer, text_encoder, tokenizer, tmp_path / f"{steps}")
        return transformer, text_encoder

    train(3, None, False)
    begun_transformer = WanTransformer3DModel.from_pretrained(tmp_path / "3" / "transformer")
    begun_text = load_text(tmp_path / "3")[1].state_dict()
    transformer, text_encoder = train(2, tmp_path / "3", True)
    assert all(torch.equal(value, begun_text[name]) for name, value in text_encoder.state_dict().items())
    moved = [
        (new - old).abs().max()
        for new, old in zip(transformer.parameters(), begun_transformer.parameters(), strict=True)
    ]
    assert 0 < max(moved) < 0.01
