"""Video-to-video with Wan 2.2, which diffusers does not offer: SDEdit on stock text-to-video pipelines."""

from typing import Any

import torch

from lipar.masks.source import check_source_latents
from lipar.types import Latents
from lipar.video.given_frames import pixel_frames, scales_as_pictures
from lipar_adapters.wan.begin import begin_at, drawn_noise, noised, video_count
from lipar_adapters.wan.clip_latents import check_clip, latents_of_clip


def encode_video(pipe: Any, video: Any, height: int | None = None, width: int | None = None) -> Latents:
    """A video as source latents: what `video_to_video` begins from, and `lipar.enable(..., source=...)` reads.

    Args:
        pipe: a Wan pipeline; its autoencoder and sizes are used.
        video: a path, pictures of PIL, arrays or tensors, in [0, 1] or uint8: see
            `lipar.video.given_frames.pixel_frames`.
        height: pixels to scale to, as diffusers scales (pictures smoothly, numbers to the nearest neighbour); None:
            the video's own.
        width: likewise.

    Raises:
        TypeError: an object that is no video.
        ValueError: the frames or the size do not fit the pipeline (1 + 4n frames; whole tokens), or `pixel_frames`
            cannot read them.
    """
    frames: Any = pixel_frames(video)
    count, _, own_height, own_width = frames.shape
    height, width = height or own_height, width or own_width
    check_clip(pipe, frames=count, height=height, width=width)
    if (height, width) != (own_height, own_width) and scales_as_pictures(video):
        frames = pipe.video_processor.numpy_to_pil(frames.permute(0, 2, 3, 1).numpy())
    return latents_of_clip(pipe, pipe.video_processor.preprocess_video(frames, height=height, width=width))


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
        strength: 0..1, the fraction of the steps that are taken, as in diffusers' `WanVideoToVideoPipeline`.
        source: latents that `encode_video` made, for instance to give `lipar.enable` the same.
        height: pixels to scale the video to; None: its own.
        width: likewise.
        num_inference_steps: steps of the whole schedule, of which `strength` takes a part.
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


def _check_source(pipe: Any, source: Any, height: int | None, width: int | None) -> None:
    check_source_latents(source, pipe.vae.config.z_dim)
    frames, size = source.shape[1], [side * pipe.vae_scale_factor_spatial for side in source.shape[3:]]
    check_clip(pipe, frames=1 + pipe.vae_scale_factor_temporal * (frames - 1), height=size[0], width=size[1])
    if [height or size[0], width or size[1]] != size:
        raise ValueError(
            f"the source latents are of {size[1]}x{size[0]} pixels; leave height and width out, or encode again"
        )
