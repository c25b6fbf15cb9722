"""Training of the autoencoder."""

from pathlib import Path

import torch

from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.tiny.clips.library import Library
from lipar_adapters.tiny.parts import load_vae
from lipar_adapters.tiny.recipe.export import export_vae
from lipar_adapters.tiny.recipe.train_autoencoder import train_autoencoder
from lipar_adapters.tiny.recipe.training import Budget


def test_a_resumed_autoencoder_has_the_same_weights(library: Library, tmp_path: Path) -> None:
    def train(out: Path, resume: bool = False, stop: int | None = None) -> TinyVideoAutoencoder:
        return train_autoencoder(
            out,
            library,
            Budget(steps=3),
            resume=resume,
            batch=3,
            size=16,
            widths=(4, 4, 4),
            statistics_rounds=1,
            stop_steps=stop,
        )

    whole = train(tmp_path / "whole")
    broken = train(tmp_path / "broken", stop=2)
    resumed = train(tmp_path / "broken", resume=True)
    for one, other, partly in zip(whole.parameters(), resumed.parameters(), broken.parameters(), strict=True):
        assert torch.equal(one, other)
        assert not torch.equal(one, partly)


def test_a_decoder_alone_learns_for_the_latents_that_are(library: Library, tmp_path: Path) -> None:
    torch.manual_seed(0)
    start = TinyVideoAutoencoder(widths=(4, 4, 4), latents_mean=[0.25] * 16, latents_std=[0.5] * 16)
    export_vae(start, tmp_path / "start")
    before = load_vae(tmp_path / "start")
    after = train_autoencoder(
        tmp_path, library, Budget(steps=3), batch=3, size=16, start_from=tmp_path / "start", decoder_only=True
    )
    clips = torch.rand(1, 4, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(after.encode(clips)[0], before.encode(clips)[0])
        assert not torch.equal(
            after.decode(after.encode(clips)[0])[0], before.decode(before.encode(clips)[0])[0]
        )
