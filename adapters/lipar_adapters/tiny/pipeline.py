"""The bidirectional tiny model in stock diffusers pipelines. Import is light: diffusers comes with the first call."""

from pathlib import Path
from typing import Any

import torch

from lipar_adapters.checkpoint_errors import MissingCheckpointError
from lipar_adapters.tiny.parts import BIDIRECTIONAL, CONFIG, WEIGHTS, load_text, load_vae, read_run_settings

FLOW_SHIFT = 3.0
"""Shift of the noise schedule, as Wan has it for small pictures."""


def image_to_video_pipeline(
    device: torch.device | str = "cpu", dtype: torch.dtype = torch.float32, folder: Path = WEIGHTS
) -> Any:
    """The bidirectional model as a stock `diffusers.WanImageToVideoPipeline`; reads only local files.

    Like Wan 2.2 TI2V 5B it has a timestep per token, 0 in the first latent frame, which is the image. Sizes are
    multiples of 16 pixels, clips 1 + 4n pixel frames; it was trained on 17 to 33 frames of about 256x256 pixels.

    Args:
        device: where the parts are put.
        dtype: type of the transformer and autoencoder; the text encoder is in float32.
        folder: weights that `tiny/recipe` wrote.

    Raises:
        MissingCheckpointError: the folder has no bidirectional model.
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

    from lipar_adapters.tiny.wan_interface import TinyWanAutoencoder
    from lipar_adapters.wan.checkpoints import load_transformer

    if not (folder / BIDIRECTIONAL / "config.json").is_file():
        raise MissingCheckpointError(
            f"{folder} has no bidirectional model; missing: {BIDIRECTIONAL}/config.json"
            " (`python -m lipar_adapters.tiny.recipe.train bidirectional` makes one)"
        )
    _, tau_short, tau_long = read_run_settings(folder / CONFIG)
    transformer = load_transformer(folder / BIDIRECTIONAL, dtype=dtype, device=device)
    vae = TinyWanAutoencoder.around(load_vae(folder, dtype, device), tau_short, tau_long)
    for module in (transformer, vae):
        module.to(device).eval().requires_grad_(False)
    tokenizer, text_encoder = load_text(folder, device)
    # the scheduler of Wan's own pipelines, with a shift for small clips
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
