"""Loads the bundled weights. Import is light: torch at the top, diffusers and transformers inside the functions."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class TinyParts:
    """The model's parts: two modules, prompts to text rows `b n text_dim`, and the config."""

    transformer: Any
    autoencoder: Any
    encode_prompt: Callable[[list[str]], Tensor]
    config: dict[str, Any]


def load_config(folder: Path = WEIGHTS) -> dict[str, Any]:
    """Shift, step lists, block and window sizes, thresholds: `model_config.json` beside the weights."""
    config: dict[str, Any] = json.loads((folder / "model_config.json").read_text())
    return config


def load(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, folder: Path = WEIGHTS
) -> TinyParts:
    """The bundled model on a device; reads only local files."""
    from diffusers import WanTransformer3DModel

    from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
    from lipar_adapters.tiny.export import load_text
    from lipar_adapters.tiny.text import encode_prompt

    transformer = WanTransformer3DModel.from_pretrained(
        folder / "transformer", torch_dtype=dtype, local_files_only=True
    )
    autoencoder = TinyVideoAutoencoder.from_pretrained(
        folder / "vae", torch_dtype=dtype, local_files_only=True
    )
    tokenizer, text_encoder = load_text(folder, device)
    for module in (transformer, autoencoder):
        module.to(device).eval().requires_grad_(False)

    def encode(prompts: list[str]) -> Tensor:
        return encode_prompt(tokenizer, text_encoder, prompts).to(dtype)

    return TinyParts(transformer, autoencoder, encode, load_config(folder))
