"""A video as the latents of an LTX pipeline, encoded by the pipeline's own autoencoder."""

from typing import Any

import torch

from lipar.types import Latents
from lipar.video.given_frames import pixel_frames
from lipar_adapters.stock.clip_size import check_clip_size


def encode_video(pipe: Any, video: Any) -> Latents:
    """A video as source latents `1 t c h w` in the scale that the transformer sees, for `lipar.enable(source=...)`.

    They are the posterior's mean, so nothing is drawn.

    Args:
        pipe: an LTX pipeline.
        video: see `lipar.video.given_frames.pixel_frames`.

    Raises:
        TypeError: an object that is no video.
        ValueError: the frames or the size do not fit (1 + 8n frames and multiples of 32 for the released models), or
            `pixel_frames` cannot read them.
    """
    from diffusers.utils.torch_utils import get_module_execution_device

    frames: Any = pixel_frames(video)
    count, _, height, width = frames.shape
    side = pipe.vae_spatial_compression_ratio * pipe.transformer_spatial_patch_size
    check_clip_size(
        frames=count,
        height=height,
        width=width,
        group=pipe.vae_temporal_compression_ratio,
        token=(side, side),
    )
    vae = pipe.vae
    clip = pipe.video_processor.preprocess_video(frames, height=height, width=width)
    with torch.no_grad():
        raw = vae.encode(clip.to(get_module_execution_device(vae), vae.dtype)).latent_dist.mode()
    raw = raw.to(pipe._execution_device, torch.float32)
    # the inverse of `_denormalize_latents` of the pipelines
    mean, deviation = (values.view(1, -1, 1, 1, 1).to(raw) for values in (vae.latents_mean, vae.latents_std))
    return ((raw - mean) * vae.config.scaling_factor / deviation).transpose(1, 2)
