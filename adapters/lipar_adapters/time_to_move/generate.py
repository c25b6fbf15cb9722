"""Time-to-Move on stock Wan image-to-video pipelines."""

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import torch

from lipar_adapters.time_to_move.dual_clock import DualClock, uncorrected
from lipar_adapters.time_to_move.motion_latents import MotionLatents
from lipar_adapters.wan.begin import begin_at, drawn_noise, video_count

STEPS, TWEAK_INDEX, TSTRONG_INDEX, GUIDANCE_SCALE = 50, 3, 6, 3.5
"""Defaults of TTM's reference script for Wan 2.2."""
PURE_NOISE = -1
"""The tweak index of a run that begins at step 0 with nothing of the motion video outside the mask."""


@torch.no_grad()
def time_to_move(
    pipe: Any,
    image: Any,
    motion: MotionLatents,
    prompt: str | list[str] | None = None,
    *,
    tweak_index: int = TWEAK_INDEX,
    tstrong_index: int = TSTRONG_INDEX,
    num_inference_steps: int = STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
    generator: torch.Generator | list[torch.Generator] | None = None,
    callback_on_step_end: Callable[..., Any] | None = None,
    callback_on_step_end_tensor_inputs: list[str] | None = None,
    released: bool = False,
    **options: Any,
) -> Any:
    """Generate a video that begins with an image and moves as a motion video does.

    For `WanImageToVideoPipeline`: with the image among the tokens (Wan 2.2 TI2V 5B) or on channels of its own (Wan 2.2
    A14B with its two experts, Wan 2.1 14B). With UniPC, and `released` here and in `encode_motion`, this is TTM's
    `WanImageToVideoTTMPipeline`, step by step.

    Args:
        pipe: a `diffusers.WanImageToVideoPipeline` with a flow matching scheduler.
        image: the first frame.
        motion: from `encode_motion`; it decides the size and length of the video.
        prompt: what is to be seen; or `prompt_embeds` among the options.
        tweak_index: step (0 the first of `num_inference_steps`) at whose noise level everything begins. Lower: more
            freedom outside the mask, and more unintended changes; higher: a static scene. -1: step 0, from the noise
            of an ordinary start, without the motion video; inside the mask it appears after the first step.
        tstrong_index: step from which on the masked region is free as well. Lower: objects leave their path; higher:
            they look rigid. `num_inference_steps`: never; the motion video itself shows there.
        num_inference_steps: steps of the whole schedule; those from `tweak_index` on are taken.
        guidance_scale: as the pipeline's.
        generator: for the noise.
        callback_on_step_end: as the pipeline's; it sees the latents after the masked region was put back.
        callback_on_step_end_tensor_inputs: likewise.
        released: as TTM's own code: UniPC's corrector stays on while the masked region is put back, and undoes that for
            the most part. By default the solver goes on from what was put back, as the paper has it.
        options: everything else that the pipeline takes: `negative_prompt`, `guidance_scale_2`, `output_type`, ...

    Returns:
        What the pipeline returns.

    Raises:
        TypeError: another kind of pipeline or scheduler.
        ValueError: the indices are not in order, or an option follows from `motion`.
    """
    check_pipe(pipe)
    check_indices(tweak_index, tstrong_index, num_inference_steps)
    _check_options(options)
    reference = motion.reference.to(pipe._execution_device, torch.float32).transpose(1, 2)
    videos = video_count({"prompt": prompt, **options})
    # TTM's pipeline draws the noise of an ordinary start first and drops it, unless it begins from just that: so the
    # same seed gives the same video
    pure_noise = drawn_noise(pipe, reference, videos, generator)
    noise = drawn_noise(pipe, reference, videos, generator)
    first_step = max(tweak_index, 0)
    held_steps = tstrong_index - first_step
    with (
        begin_at(pipe, first_step),
        nullcontext() if released else uncorrected(pipe.scheduler, held_steps),
    ):
        # for the noise levels; the pipeline makes the same schedule again
        pipe.scheduler.set_timesteps(num_inference_steps, device=reference.device)
        clock = DualClock(
            reference=reference,
            noise=noise,
            mask=motion.mask.to(reference.device)[None, None],
            sigmas=pipe.scheduler.sigmas.to(reference.device),
            held_steps=held_steps,
        )
        callback, tensors = _called(clock, callback_on_step_end, callback_on_step_end_tensor_inputs)
        return pipe(
            image=image,
            prompt=prompt,
            height=motion.height,
            width=motion.width,
            num_frames=motion.frames,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            generator=generator,
            latents=pure_noise if tweak_index == PURE_NOISE else clock.at(0),
            callback_on_step_end=callback,
            callback_on_step_end_tensor_inputs=tensors,
            **options,
        )


def _called(
    clock: DualClock, users: Callable[..., Any] | None, inputs: list[str] | None
) -> tuple[Callable[..., dict[str, Any]], list[str]]:
    """The clock and then the user's own callback, as one; and the tensors that it asks for."""
    asked = list(getattr(users, "tensor_inputs", None) or inputs or ["latents"])

    def callback(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        latents = clock(step, tensors["latents"])
        if users is None:
            return {"latents": latents}
        tensors = tensors | {"latents": latents}
        theirs = users(pipe, step, timestep, {name: tensors[name] for name in asked})
        return {"latents": latents} | (theirs or {})

    return callback, list(dict.fromkeys(["latents", *asked]))


def check_pipe(pipe: Any) -> None:
    """Refuse what is no image-to-video pipeline of Wan."""
    from diffusers import WanImageToVideoPipeline

    if not isinstance(pipe, WanImageToVideoPipeline):
        raise TypeError(
            f"Time-to-Move runs on a diffusers.WanImageToVideoPipeline, got {type(pipe).__name__}; of Wan 2.2 TI2V 5B, "
            "WanImageToVideoPipeline.from_pretrained(..., expand_timesteps=True) makes one"
        )


def check_indices(tweak_index: int, tstrong_index: int, steps: int) -> None:
    """Refuse indices that are not 0 <= tweak <= tstrong <= steps, with a step to take; or tweak = -1 (pure noise)."""
    if not (PURE_NOISE <= tweak_index < steps and max(tweak_index, 0) <= tstrong_index <= steps):
        raise ValueError(
            f"tweak index {tweak_index} and tstrong index {tstrong_index} of {steps} steps: "
            "0 <= tweak <= tstrong <= steps must hold, and tweak < steps; tweak -1 begins at step 0 from pure noise"
        )


def _check_options(options: dict[str, Any]) -> None:
    for name in ("height", "width", "num_frames", "latents"):
        if name in options:
            raise ValueError(f"{name} follows from the motion video; give it to encode_motion")
