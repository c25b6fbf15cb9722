"""A clip as the latents that a Wan pipeline starts from, encoded by the pipeline's own autoencoder."""

import math
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from lipar.types import Latents
from lipar_adapters.stock.clip_size import check_clip_size

CenteredClip: TypeAlias = Float[Tensor, "b 3 frames height width"]
"""RGB video in [-1, 1], channels first, as a Wan autoencoder takes it."""


def latents_of_clip(pipe: Any, clip: CenteredClip) -> Latents:
    """Latents of a clip in the scale the DiT sees, float32: the posterior's mean, so nothing is drawn.

    Raises:
        ValueError: a size or a number of frames that does not fit the pipeline; see `check_clip`.
    """
    from diffusers.pipelines.wan.pipeline_wan_i2v import retrieve_latents
    from diffusers.utils.torch_utils import get_module_execution_device

    vae = pipe.vae
    check_clip(pipe, frames=clip.shape[2], height=clip.shape[3], width=clip.shape[4])
    with torch.no_grad():
        encoded = vae.encode(clip.to(get_module_execution_device(vae), vae.dtype))
        raw = retrieve_latents(encoded, sample_mode="argmax")
    raw = raw.to(pipe._execution_device, torch.float32)
    mean, std = (
        torch.tensor(values, device=raw.device).view(1, -1, 1, 1, 1)
        for values in (vae.config.latents_mean, vae.config.latents_std)
    )
    # times the inverse, as the pipelines do: the last bits are the same
    return ((raw - mean) * (1.0 / std)).transpose(1, 2)


def token_size(pipe: Any) -> tuple[int, int]:
    """Pixel rows and columns of a token; heights and widths are multiples of them."""
    transformer = pipe.transformer if pipe.transformer is not None else pipe.transformer_2
    _, rows, cols = transformer.config.patch_size
    scale = pipe.vae_scale_factor_spatial
    return int(scale * rows), int(scale * cols)


def token_pixels(pipe: Any) -> int:
    """Pixels of which both heights and widths can be multiples."""
    return math.lcm(*token_size(pipe))


def check_clip(pipe: Any, *, frames: int, height: int, width: int) -> None:
    """Refuse sizes that the pipeline, or its autoencoder, would round silently.

    Raises:
        ValueError: the frames are not 1 + 4n, or the size is not in whole tokens; the message names sizes that fit.
    """
    check_clip_size(
        frames=frames,
        height=height,
        width=width,
        group=pipe.vae_scale_factor_temporal,
        token=token_size(pipe),
    )
