"""Loads the bundled weights. Import is light: torch at the top, diffusers and transformers inside the functions."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import attrs
import torch
from torch import Tensor

from lipar.bounds import THRESHOLD, check_taus
from lipar.config import structure_value
from lipar_adapters.wan.recipe import Recipe
from lipar_adapters.weights import CheckpointError, MissingCheckpointError, read_json

WEIGHTS = Path(__file__).parent / "weights"
FLOW_SHIFT = 3.0
"""Of the sibling's schedule, as Wan has it for small pictures."""

CONFIG = "model_config.json"


@dataclass(frozen=True)
class TinyParts:
    """The model's parts: two modules, prompts to text rows `b n text_dim`, and the config."""

    transformer: Any
    autoencoder: Any
    encode_prompt: Callable[[list[str]], Tensor]
    config: dict[str, Any]


def load_config(folder: Path = WEIGHTS) -> dict[str, Any]:
    """Shift, step lists, block and window sizes, thresholds: `model_config.json` beside the weights."""
    return read_json(folder / "model_config.json")


def load(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, folder: Path = WEIGHTS
) -> TinyParts:
    """The bundled model on a device; reads only local files.

    Raises:
        CheckpointError: the folder does not hold it, whole and finite.
    """
    from lipar_adapters.loading import load_diffusers_model
    from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
    from lipar_adapters.tiny.recipe.export import load_text
    from lipar_adapters.tiny.text import encode_prompt
    from lipar_adapters.wan.checkpoints import load_transformer

    transformer = load_transformer(folder / "transformer", dtype=dtype, device=device)
    autoencoder = load_diffusers_model(TinyVideoAutoencoder, folder / "vae", dtype=dtype, device=device)
    tokenizer, text_encoder = load_text(folder, device)
    for module in (transformer, autoencoder):
        module.eval().requires_grad_(False)

    def encode(prompts: list[str]) -> Tensor:
        return encode_prompt(tokenizer, text_encoder, prompts).to(dtype)

    return TinyParts(transformer, autoencoder, encode, load_config(folder))


def image_to_video_pipeline(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, folder: Path = WEIGHTS
) -> Any:
    """The bidirectional sibling as a stock `diffusers.WanImageToVideoPipeline`; reads only local files.

    Like Wan 2.2 TI2V 5B it has a timestep per token, 0 in the first latent frame, which is the image. Sizes are
    multiples of 16 pixels, clips 1 + 4n pixel frames; it was trained on 17 to 33 frames of about 256x256 pixels.

    Args:
        dtype: of the transformer and autoencoder; the text encoder is in float32.

    Raises:
        MissingCheckpointError: the folder has no sibling.
    """
    from diffusers import WanImageToVideoPipeline

    return WanImageToVideoPipeline(**_sibling(device, dtype, folder), expand_timesteps=True)


def text_to_video_pipeline(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, folder: Path = WEIGHTS
) -> Any:
    """The same parts as a stock `diffusers.WanPipeline`; see `image_to_video_pipeline`."""
    from diffusers import WanPipeline

    return WanPipeline(**_sibling(device, dtype, folder), expand_timesteps=True)


def video_to_video_pipeline(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, folder: Path = WEIGHTS
) -> Any:
    """The same parts as a stock `diffusers.WanVideoToVideoPipeline`; see `image_to_video_pipeline`."""
    from diffusers import WanVideoToVideoPipeline

    return WanVideoToVideoPipeline(**_sibling(device, dtype, folder))


def _sibling(device: torch.device | str, dtype: torch.dtype, folder: Path) -> dict[str, Any]:
    from diffusers import UniPCMultistepScheduler

    from lipar_adapters.loading import load_diffusers_model
    from lipar_adapters.tiny.autoencoder import TinyVideoAutoencoder
    from lipar_adapters.tiny.recipe.export import BIDIRECTIONAL, load_text
    from lipar_adapters.tiny.wan_interface import TinyWanAutoencoder
    from lipar_adapters.wan.checkpoints import load_transformer

    if not (folder / BIDIRECTIONAL / "config.json").is_file():
        raise MissingCheckpointError(
            f"{folder} has no bidirectional model; missing: {BIDIRECTIONAL}/config.json"
            " (`python -m lipar_adapters.tiny.recipe.train bidirectional` makes one)"
        )
    _, tau_short, tau_long = read_recipe(folder / CONFIG)
    transformer = load_transformer(folder / BIDIRECTIONAL, dtype=dtype, device=device)
    coder = load_diffusers_model(TinyVideoAutoencoder, folder / "vae", dtype=dtype, device=device)
    vae = TinyWanAutoencoder.around(coder, tau_short, tau_long)
    for module in (transformer, vae):
        module.to(device).eval().requires_grad_(False)
    tokenizer, text_encoder = load_text(folder, device)
    # As Wan's own pipelines have it, with a shift for small clips.
    scheduler = UniPCMultistepScheduler(
        prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=FLOW_SHIFT
    )
    return {
        "tokenizer": tokenizer,
        "text_encoder": text_encoder,
        "vae": vae,
        "transformer": transformer,
        "scheduler": scheduler,
    }


def read_recipe(path: Path) -> tuple[Recipe, float, float]:
    """How the model is run, and the short-term and long-term threshold of its latents.

    Raises:
        CheckpointError: the file is no such configuration.
    """
    entries = read_json(path)

    def entry(name: str, type_: Any) -> Any:
        if name not in entries:
            raise CheckpointError(f"{path} has no entry {name!r}")
        return structure_value(entries[name], type_, f"{path}: {name}")

    own = {field.name: field.type for field in attrs.fields(Recipe) if field.name != "home_pixels"}
    try:
        values = {name: entry(name, type_) for name, type_ in own.items()}
        width, height = entry("home_size", tuple[int, int])
        recipe = Recipe(home_pixels=width * height, **values)
        taus = [entry(name, float) for name in ("tau_short", "tau_long")]
        for name, tau in zip(("tau_short", "tau_long"), taus):
            THRESHOLD.check(name, tau)
        check_taus(*taus)
    except CheckpointError:
        raise
    except ValueError as error:
        raise CheckpointError(f"{path}: {error.args[0]}") from error
    return recipe, taus[0], taus[1]
