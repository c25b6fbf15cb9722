"""Video-to-video with Wan 2.2, which diffusers itself lacks: SDEdit on stock text-to-video pipelines."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from lipar.types import Latents
from lipar_adapters.wan.begin import begin_at, drawn_noise, noised, video_count
from lipar_adapters.wan.clip_latents import check_clip, encode_clip


def encode_video(pipe: Any, video: Any, height: int | None = None, width: int | None = None) -> Latents:
    """A video as source latents: what `video_to_video` begins from, and `lipar.enable(..., source=...)` reads.

    Args:
        pipe: a Wan pipeline; its autoencoder and sizes are used.
        video: pictures of PIL, or an array `frames height width 3` or tensor `frames 3 height width`; in [0, 1], or
            uint8.
        height: pixels to scale to; None: the video's own.
        width: likewise.

    Raises:
        ValueError: the frames or the size do not fit the pipeline (1 + 4n frames; whole tokens), or it is no video.
    """
    count, own_height, own_width = _shape(video)
    height, width = height or own_height, width or own_width
    check_clip(pipe, frames=count, height=height, width=width)
    if not isinstance(video, list) and video.dtype in (np.uint8, torch.uint8):
        video = video / 255  # the processor would take them for values in [0, 1]
    clip = pipe.video_processor.preprocess_video(video, height=height, width=width).float()
    return encode_clip(pipe, clip)


def _shape(video: Any) -> tuple[int, int, int]:
    """Frames, height and width."""
    if isinstance(video, list) and video and hasattr(video[0], "height"):
        return len(video), video[0].height, video[0].width
    if isinstance(video, Tensor) and video.ndim == 4 and video.shape[1] == 3:
        return video.shape[0], video.shape[2], video.shape[3]
    if isinstance(video, np.ndarray) and video.ndim == 4 and video.shape[3] == 3:
        return video.shape[0], video.shape[1], video.shape[2]
    came = type(video).__name__ + (f" {list(video.shape)}" if hasattr(video, "shape") else "")
    raise ValueError(
        "a video is a list of PIL pictures, an array `frames height width 3` or a tensor `frames 3 height width`, "
        f"both in [0, 1] or uint8; got {came}"
    )


def first_step(steps: int, strength: float) -> int:
    """The step to begin at, as diffusers' `WanVideoToVideoPipeline` counts: `int(steps * strength)` steps are taken.

    Raises:
        ValueError: the strength is not in 0..1, or so low that no step is taken.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength {strength} is not in 0..1; 1 forgets the video, 0 leaves it as it is")
    taken = min(int(steps * strength), steps)
    if not taken:
        raise ValueError(
            f"strength {strength} of {steps} steps leaves no step to take; at least {1 / steps:.3g} is needed"
        )
    return steps - taken


@torch.no_grad()
def video_to_video(
    pipe: Any,
    video: Any = None,
    prompt: str | list[str] | None = None,
    strength: float = 0.8,
    *,
    source: Latents | None = None,
    height: int | None = None,
    width: int | None = None,
    num_inference_steps: int = 50,
    generator: torch.Generator | list[torch.Generator] | None = None,
    **options: Any,
) -> Any:
    """Change a video by a prompt: noise is added to its latents, and the pipeline denoises from there (SDEdit).

    For `WanPipeline` with Wan 2.2 TI2V 5B (a timestep for every token) and A14B; the pipeline's own boundary gives
    every step the expert of its noise level. Wan 2.1 works as well.

    Args:
        pipe: a `diffusers.WanPipeline` with a flow matching scheduler.
        video: see `encode_video`; leave it out where `source` is given.
        prompt: what the result should look like; or `prompt_embeds` among the options.
        strength: 0..1, the share of the steps that are taken, as in diffusers' `WanVideoToVideoPipeline`.
        source: latents that `encode_video` made, for instance to give `lipar.enable` the same.
        height: pixels to scale the video to; None: its own.
        width: likewise.
        num_inference_steps: of the whole schedule.
        generator: for the noise.
        options: everything else that the pipeline takes: `guidance_scale`, `callback_on_step_end`, ...

    Returns:
        What the pipeline returns.

    Raises:
        TypeError: another kind of pipeline or scheduler.
        ValueError: the video, the strength or an option does not fit.
    """
    _check_pipe(pipe)
    if "latents" in options or "num_frames" in options:
        raise ValueError("latents and num_frames follow from the video; leave them out")
    if (video is None) == (source is None):
        raise ValueError("give either a video or its source latents (encode_video), not both")
    begin = first_step(num_inference_steps, strength)
    if source is None:
        source = encode_video(pipe, video, height, width)
    else:
        _check_source(pipe, source, height, width)
    clean = source.to(pipe._execution_device, torch.float32).transpose(1, 2)
    with begin_at(pipe, begin):
        # for the first noise level; the pipeline makes the same schedule again
        pipe.scheduler.set_timesteps(num_inference_steps, device=clean.device)
        noise = drawn_noise(pipe, clean, video_count({"prompt": prompt, **options}), generator)
        return pipe(
            prompt=prompt,
            latents=noised(clean, noise, pipe.scheduler.sigmas[0]),
            height=clean.shape[3] * pipe.vae_scale_factor_spatial,
            width=clean.shape[4] * pipe.vae_scale_factor_spatial,
            num_frames=(clean.shape[2] - 1) * pipe.vae_scale_factor_temporal + 1,
            num_inference_steps=num_inference_steps,
            generator=generator,
            **options,
        )


def _check_pipe(pipe: Any) -> None:
    from diffusers import WanPipeline

    if not isinstance(pipe, WanPipeline):
        raise TypeError(
            f"video_to_video runs on a diffusers.WanPipeline, got {type(pipe).__name__}; of a text-to-video model's "
            "parts, WanPipeline(**pipe.components) makes one"
        )


def _check_source(pipe: Any, source: Latents, height: int | None, width: int | None) -> None:
    size = tuple(side * pipe.vae_scale_factor_spatial for side in source.shape[3:])
    if (height or size[0], width or size[1]) != size:
        raise ValueError(
            f"the source latents are of {size[1]}x{size[0]} pixels; leave height and width out, or encode again"
        )
    if source.shape[0] != 1 or source.shape[2] != pipe.vae.config.z_dim:
        raise ValueError(
            f"source latents are 1 t {pipe.vae.config.z_dim} h w, as encode_video gives them; got {list(source.shape)}"
        )
