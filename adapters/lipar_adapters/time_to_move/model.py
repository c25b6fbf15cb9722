"""Time-to-Move as `lipar ttm` runs it: a pipeline, its own defaults, and pruning by the motion video's redundancy."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import torch
from torch import Tensor

import lipar
from lipar.config import Config
from lipar.plugin.host import PluginHost
from lipar_adapters.time_to_move.generate import (
    GUIDANCE_SCALE,
    STEPS,
    TSTRONG_INDEX,
    TWEAK_INDEX,
    check_indices,
    check_pipe,
    time_to_move,
)
from lipar_adapters.time_to_move.motion import MotionClip, MotionRequest, MotionScene, Progress
from lipar_adapters.time_to_move.motion_latents import (
    MotionLatents,
    clip_frames,
    encode_motion,
    scale_motion,
)
from lipar_adapters.wan.clip_latents import token_pixels
from lipar_adapters.wan.denoise_watch import watch_denoising


@attrs.frozen(kw_only=True)
class Defaults:
    """Defaults of a model; steps and indices are those of TTM's reference script."""

    pixels: int
    """Pixels of a frame."""
    frames: int
    steps: int = STEPS
    tweak_index: int = TWEAK_INDEX
    tstrong_index: int = TSTRONG_INDEX
    guidance_scale: float = GUIDANCE_SCALE
    negative_prompt: str | None = None


@attrs.frozen(eq=False, kw_only=True)
class WanScene(MotionScene):
    """A scene in a pipeline's latent space."""

    request: MotionRequest
    driven: MotionLatents
    guidance_scale: float
    negative_prompt: str | None


class TimeToMoveModel:
    """Implements `lipar_adapters.time_to_move.motion.MotionModel` on a stock image-to-video pipeline.

    Args:
        read_prompt: called with each prompt; may warn of words that the model does not know.
    """

    def __init__(
        self, pipe: Any, defaults: Defaults, *, read_prompt: Callable[[str], None] = lambda prompt: None
    ) -> None:
        check_pipe(pipe)
        self.pipe, self.defaults, self._read_prompt = pipe, defaults, read_prompt

    def prepare(self, request: MotionRequest) -> WanScene:
        """Scale and encode; the clip is as long as the motion video, at most as the model's own length."""
        own = self.defaults
        self._read_prompt(request.prompt)
        steps = own.steps if request.steps is None else request.steps
        tweak, tstrong = scaled_indices(own, request.tweak_index, request.tstrong_index, steps)
        check_indices(tweak, tstrong, steps)
        first = request.first_frame
        width, height = request.size or clip_size(first.size, own.pixels, token_pixels(self.pipe))
        longest = clip_frames(len(request.motion), len(request.mask), None)
        frames = min(longest, own.frames) if request.frames is None else request.frames
        driven = encode_motion(
            self.pipe,
            request.motion,
            request.mask,
            height=height,
            width=width,
            num_frames=frames,
            released=request.released,
        )
        return WanScene(
            frames=frames,
            width=width,
            height=height,
            steps=steps,
            tweak_index=tweak,
            tstrong_index=tstrong,
            masked_fraction=driven.masked_fraction,
            motion=scale_motion(request.motion[:frames], (height, width)),
            request=request,
            driven=driven,
            guidance_scale=own.guidance_scale if request.guidance_scale is None else request.guidance_scale,
            negative_prompt=request.negative_prompt or own.negative_prompt,
        )

    def generate(
        self, scene: WanScene, *, dense: bool, config: Config | None, host: PluginHost, progress: Progress
    ) -> MotionClip:
        """Generate the clip; pruned by the redundancy of the motion video unless `dense`."""
        taken = scene.steps - scene.first_step
        with (
            self._pruned(scene, dense, config, host),
            watch_denoising(self.pipe, lambda done: progress(done, taken)) as watch,
        ):
            pixels = self._run(scene, output_type="pt")
            kept = 1.0 if dense else kept_fraction(self.pipe, host)
        return MotionClip(pixels=pixels[0].float().cpu(), seconds=watch.seconds, kept_fraction=kept)

    def warm_up(self, scene: WanScene) -> None:
        """Run one dense step."""

        def stop(pipe: Any, step: int, timestep: Any, tensors: dict[str, Any]) -> dict[str, Any]:
            pipe._interrupt = True
            return {}

        with watch_denoising(self.pipe, lambda done: None):
            self._run(scene, output_type="latent", callback_on_step_end=stop)

    def _run(self, scene: WanScene, **options: Any) -> Tensor:
        request = scene.request
        pixels: Tensor = time_to_move(
            self.pipe,
            request.first_frame,
            scene.driven,
            request.prompt,
            negative_prompt=scene.negative_prompt,
            tweak_index=scene.tweak_index,
            tstrong_index=scene.tstrong_index,
            num_inference_steps=scene.steps,
            guidance_scale=scene.guidance_scale,
            generator=torch.Generator().manual_seed(request.seed),
            released=request.released,
            return_dict=False,
            **options,
        )[0]
        return pixels

    @contextmanager
    def _pruned(
        self, scene: WanScene, dense: bool, config: Config | None, host: PluginHost
    ) -> Iterator[None]:
        if dense:
            yield
            return
        lipar.enable(self.pipe, config, source=scene.driven.reference, host=host)
        try:
            yield
        finally:
            lipar.disable(self.pipe, host=host)


def kept_fraction(pipe: Any, host: PluginHost) -> float:
    """Fraction of the tokens that an enabled pipeline has computed so far; 1 before the first forward."""
    summary = lipar.summary(pipe, host=host)
    return summary.kept_tokens / summary.all_tokens if summary.all_tokens else 1.0


def clip_size(shown: tuple[int, int], pixels: int, token: int) -> tuple[int, int]:
    """Width and height of about so many pixels in a picture's shape, in whole tokens, rounded down as TTM does."""
    width, height = shown
    sides = round(math.sqrt(pixels * width / height)), round(math.sqrt(pixels * height / width))
    columns, rows = (max(side // token, 1) * token for side in sides)
    return columns, rows


def scaled_indices(own: Defaults, tweak: int | None, tstrong: int | None, steps: int) -> tuple[int, int]:
    """The two indices; defaults scale with the number of steps, because they stand for noise levels.

    Their order is kept, and with few steps at least one step stays between them.
    """
    first = round(own.tweak_index * steps / own.steps)
    second = round(own.tstrong_index * steps / own.steps)
    if tweak is None:
        tweak = first if tstrong is None else min(first, tstrong)
    if tstrong is None:
        tstrong = max(second, min(max(tweak, 0) + 1, steps))
    return tweak, tstrong
