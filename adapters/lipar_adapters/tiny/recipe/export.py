"""Writes trained parts as bf16 safetensors in diffusers' folder layout, with the model's own config."""

import json
from pathlib import Path
from typing import Any

import torch

from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
from lipar_adapters.tiny.parts import BIDIRECTIONAL, CONFIG

MODEL_CONFIG = {
    # A smaller shift than Wan's 5: a model this small loses a clip's detail where an edit begins at much noise.
    "shift": 0.57,
    "edit_steps": [400, 280, 160],
    "text_to_video_steps": [1000, 850, 650, 350],
    "block_frames": 3,
    "sink_frames": 1,
    "window_frames": 6,
    "positions": "rolling",
    "text_length": 24,
    "guidance_scale": 1.0,
    "fps": 12,
    "home_size": [256, 256],
    "tau_short": 0.0,
    "tau_long": 0.0,
}


def export_vae(vae: TinyVideoAutoencoder, folder: Path) -> None:
    # Not from_config: that drops values which were set after a model was made with its defaults.
    """Write the autoencoder into `vae/`."""
    names = ("latent_channels", "widths", "latents_mean", "latents_std")
    copy = TinyVideoAutoencoder(**{name: vae.config[name] for name in names})
    copy.load_state_dict(vae.state_dict())
    copy.to(torch.bfloat16).save_pretrained(folder / "vae")


def export_transformer(transformer: Any, folder: Path) -> None:
    """Write a transformer into a folder of its own."""
    from diffusers import WanTransformer3DModel

    # a config remembers the folder it was read from, which is this machine's
    config = {key: value for key, value in transformer.config.items() if key != "_name_or_path"}
    copy = WanTransformer3DModel.from_config(config)
    copy.load_state_dict(transformer.state_dict())
    copy.to(torch.bfloat16).save_pretrained(folder)


def export_bidirectional(transformer: Any, folder: Path) -> None:
    """Write the sibling alone: autoencoder and text encoder are shared with the causal model."""
    export_transformer(transformer, folder / BIDIRECTIONAL)


def export_text_and_transformer(transformer: Any, text_encoder: Any, tokenizer: Any, folder: Path) -> None:
    """Write the causal model without its autoencoder: transformer, tokenizer, text encoder, and the config."""
    folder.mkdir(parents=True, exist_ok=True)
    export_transformer(transformer, folder / "transformer")
    tokenizer.save_pretrained(folder / "tokenizer")
    dtype = next(text_encoder.parameters()).dtype
    text_encoder.to(torch.bfloat16).save_pretrained(folder / "text_encoder")
    text_encoder.to(dtype)
    write_config(folder)


def write_config(folder: Path, **changes: object) -> None:
    """Write `model_config.json`; entries already in a config stay unless changed."""
    path = folder / CONFIG
    earlier = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps({**MODEL_CONFIG, **earlier, **changes}, indent=2) + "\n")
