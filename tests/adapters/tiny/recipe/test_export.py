"""Trained parts in diffusers' folder layout."""

import json
from pathlib import Path

import torch

from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.tiny.parts import CONFIG, load_vae
from lipar_adapters.tiny.recipe.export import export_vae, write_config


def test_statistics_that_are_set_after_training_are_exported(tmp_path: Path) -> None:
    trained = TinyVideoAutoencoder(widths=(8, 12, 16))
    trained.register_to_config(latents_mean=[0.5] * 16, latents_std=[3.0] * 16)
    export_vae(trained, tmp_path)
    assert torch.equal(load_vae(tmp_path).std.flatten(), torch.full((16,), 3.0))


def test_entries_of_a_config_stay_unless_they_are_changed(tmp_path: Path) -> None:
    write_config(tmp_path, shift=2.0)
    write_config(tmp_path, tau_short=0.1)
    entries = json.loads((tmp_path / CONFIG).read_text())
    assert (entries["shift"], entries["tau_short"], entries["block_frames"]) == (2.0, 0.1, 3)
