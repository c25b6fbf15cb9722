"""Begin a stock diffusers pipeline in the middle of its noise schedule, from latents at that noise level."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.stock.flow import check_flow

ChannelsFirst: TypeAlias = Float[Tensor, "b c t h w"]
"""Latents in the order of axes that diffusers' Wan pipelines use."""


@contextmanager
def begin_at(pipe: Any, index: int) -> Iterator[None]:
    """Inside the `with` block, calls of a pipeline begin at a step of its schedule; afterwards it is as before.

    While it lasts, the scheduler's schedule *is* the rest from that step on: timesteps and sigmas. So the number of
    steps, the order of a multistep solver near the end, and whatever else looks at the scheduler agree.

    Args:
        pipe: a pipeline with a flow matching scheduler, such as FlowMatchEuler or UniPC with `use_flow_sigmas`.
        index: step to begin at; 0, the first one, changes nothing.

    Raises:
        TypeError: the scheduler is not of flow matching, or takes several steps to one of its timesteps.
        ValueError: there is no such step; raised where the schedule is made.
    """
    scheduler = pipe.scheduler
    _check(scheduler)
    before = vars(scheduler).get("set_timesteps")
    whole = scheduler.set_timesteps

    def set_timesteps(*args: Any, **kwargs: Any) -> None:
        whole(*args, **kwargs)
        steps = len(scheduler.timesteps)
        if not 0 <= index < steps:
            raise ValueError(f"a schedule of {steps} steps has no step {index}; begin at 0 to {steps - 1}")
        # Both are cut, rather than timesteps alone with a later begin index: UniPC counts the steps that are left by
        # the length of one and the index into the other, and WanPipeline sets the begin index to 0 by itself.
        scheduler.timesteps = scheduler.timesteps[index:]
        scheduler.sigmas = scheduler.sigmas[index:]
        if hasattr(scheduler, "num_inference_steps"):
            scheduler.num_inference_steps = steps - index
        scheduler.set_begin_index(0)

    scheduler.set_timesteps = set_timesteps
    try:
        yield
    finally:
        if before is None:
            del scheduler.set_timesteps
        else:
            scheduler.set_timesteps = before


def _check(scheduler: Any) -> None:
    check_flow(scheduler)
    name = type(scheduler).__name__
    if scheduler.order != 1:
        raise TypeError(
            f"{name} goes through {scheduler.order} model calls per step, so its schedule cannot be cut between "
            "steps; take FlowMatchEulerDiscreteScheduler or UniPCMultistepScheduler"
        )


def noised(
    clean: ChannelsFirst, noise: Float[Tensor, "videos c t h w"], sigma: Tensor
) -> Float[Tensor, "videos c t h w"]:
    """Latents at a noise level: (1 - sigma) clean + sigma noise; sigma is one entry of `scheduler.sigmas`."""
    sigma = sigma.to(clean.device, clean.dtype)
    return (1 - sigma) * clean + sigma * noise


def drawn_noise(
    pipe: Any, like: ChannelsFirst, videos: int, generator: Any
) -> Float[Tensor, "videos c t h w"]:
    """Unit noise for so many videos, drawn as the pipelines draw theirs: in float32, on their device."""
    from diffusers.utils.torch_utils import randn_tensor

    shape = (videos, *like.shape[1:])
    return randn_tensor(shape, generator=generator, device=pipe._execution_device, dtype=torch.float32)


def video_count(options: dict[str, Any]) -> int:
    """Number of videos that a pipeline makes of these arguments: prompts times videos per prompt."""
    prompts = options.get("prompt")
    if prompts is None:
        prompts = options.get("prompt_embeds")
    count = 1 if prompts is None or isinstance(prompts, str) else len(prompts)
    return int(count * (options.get("num_videos_per_prompt") or 1))
