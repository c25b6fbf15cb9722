"""How `lipar.enable` takes hold of Wan transformers and pipelines: the class methods of `lipar.door.Door`."""

import sys
import warnings
from collections.abc import Iterator
from typing import Any, ClassVar

import attrs

from lipar.door import DoorWarning
from lipar.hold import Held, Hold, Moment
from lipar_adapters.wan.autoencoder import TAU_LONG, TAU_SHORT

_PIPELINES = {
    "pipeline_wan": "WanPipeline",
    "pipeline_wan_i2v": "WanImageToVideoPipeline",
    "pipeline_wan_video2video": "WanVideoToVideoPipeline",
}

TIMESTEP_ERROR = 1e-2
"""How far a timestep of 0..1000 may be from one of the schedule and still be meant."""
FACTS = frozenset({"attention-bias", "source"})
"""What every Wan model gives that `lipar.enable` holds."""


@attrs.frozen
class WanThresholds:
    """What stands in for an autoencoder that does not know its own thresholds."""

    tau_short: float = TAU_SHORT
    tau_long: float = TAU_LONG


class WanDoor:
    """For adapters of the Wan family to inherit."""

    __slots__ = ()

    door_targets: ClassVar[str] = (
        "diffusers.WanTransformer3DModel, WanPipeline, WanImageToVideoPipeline, WanVideoToVideoPipeline"
    )

    @classmethod
    def recognises(cls, target: object) -> bool:
        """Whether it is a stock Wan transformer or pipeline; looks it up where it would have been imported from."""
        return _is(target, "models.transformers.transformer_wan", "WanTransformer3DModel") or _is_pipeline(
            target
        )

    @classmethod
    def describe(cls, target: Any) -> Held:
        """Facts, noise levels and autoencoder; a bare transformer has neither of the last two."""
        first = next(_transformers(target), None)
        if first is None:
            raise TypeError(f"this {type(target).__name__} has no transformer that could be pruned")
        patch, channels = first.config.patch_size[1], first.config.out_channels
        if not _is_pipeline(target):
            return Held(facts=FACTS, patch_size=patch, channels=channels)
        from lipar_adapters.wan.begin import check_flow

        check_flow(target.scheduler)
        has_image = _is(target, "pipelines.wan.pipeline_wan_i2v", "WanImageToVideoPipeline")
        image_among_tokens = has_image and target.config.expand_timesteps

        def encode(video: Any) -> Any:
            from lipar_adapters.wan.video_to_video import encode_video

            return encode_video(target, video)

        own = target.vae if hasattr(target.vae, "tau_short") else WanThresholds()
        return Held(
            facts=FACTS | {"clean-first-frame"} if image_among_tokens else FACTS,
            patch_size=patch,
            channels=channels,
            coder=own,
            clock=lambda timestep: _moment(target.scheduler, timestep),
            encode=encode,
            brings_source=_brings_source(target),
        )

    @classmethod
    def attach(cls, target: Any, hold: Hold) -> None:
        from lipar_adapters.wan.seam import WanSeam

        attached = []
        try:
            for transformer in _transformers(target):
                attached.append(WanSeam(transformer, hold=hold))
        except (TypeError, ValueError):
            for seam in attached:
                seam.remove()
            raise
        if _brings_source(target) and hold.source is None and hold.layout is None:
            target.prepare_latents = _SourceReader(target, hold)

    @classmethod
    def hold_of(cls, target: Any) -> Hold | None:
        from lipar_adapters.wan.seam import seam_of

        seams = (seam_of(transformer) for transformer in _transformers(target))
        return next((seam.hold for seam in seams if seam is not None and seam.hold is not None), None)

    @classmethod
    def detach(cls, target: Any) -> None:
        from lipar_adapters.wan.seam import seam_of

        for transformer in _transformers(target):
            seam = seam_of(transformer)
            # a seam without a hold belongs to a model that lipar drives itself
            if seam is not None and seam.hold is not None:
                seam.remove()
        if isinstance(vars(target).get("prepare_latents"), _SourceReader):
            del target.prepare_latents


def _is(target: object, module: str, name: str) -> bool:
    found = sys.modules.get(f"diffusers.{module}")
    return found is not None and isinstance(target, getattr(found, name))


def _is_pipeline(target: object) -> bool:
    return any(_is(target, f"pipelines.wan.{module}", name) for module, name in _PIPELINES.items())


def _transformers(target: Any) -> Iterator[Any]:
    """All that denoise: of a pipeline one or two experts."""
    if not _is_pipeline(target):
        yield target
        return
    for name in ("transformer", "transformer_2"):
        transformer = getattr(target, name, None)
        if transformer is not None:
            yield transformer


def _brings_source(target: Any) -> bool:
    return _is(target, "pipelines.wan.pipeline_wan_video2video", "WanVideoToVideoPipeline")


def _moment(scheduler: Any, timestep: float) -> Moment | None:
    """Where the schedule stands; its list of timesteps is made anew for every run.

    Video-to-video begins in the middle without telling the scheduler, and a transformer may be called by somebody else:
    the timestep decides. None: it is not of this schedule.
    """
    timesteps, sigmas = scheduler.timesteps, getattr(scheduler, "sigmas", None)
    if timesteps is None or sigmas is None or not len(timesteps):
        return None
    index = scheduler.step_index
    if index is None:  # before the first step
        index = scheduler.begin_index or 0
    index = int(index)
    if index >= len(timesteps) or abs(float(timesteps[index]) - timestep) > TIMESTEP_ERROR:
        found = ((timesteps - timestep).abs() <= TIMESTEP_ERROR).nonzero().flatten()
        if not len(found):
            return None
        index = int(found[0])
    return Moment(timesteps, index, float(sigmas[index]))


class _SourceReader:
    """Stands in for the `prepare_latents` of a video-to-video pipeline: what it encodes is the source."""

    def __init__(self, pipe: Any, hold: Hold) -> None:
        self._stock, self._pipe, self._hold = pipe.prepare_latents, pipe, hold

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        scheduler = self._pipe.scheduler
        name = "add_noise" if hasattr(scheduler, "add_noise") else "scale_noise"
        stock, encoded = getattr(scheduler, name), []

        def noted(sample: Any, *rest: Any, **named: Any) -> Any:
            encoded.append(sample)
            return stock(sample, *rest, **named)

        setattr(scheduler, name, noted)
        try:
            latents = self._stock(*args, **kwargs)
        finally:
            delattr(scheduler, name)
        # the first of several videos decides, as one mask serves a call
        self._hold.take_source(encoded[0][:1].transpose(1, 2) if encoded else None)
        if not encoded and not self._hold.changes_between_steps:
            warnings.warn(
                "latents were given instead of a video, so there is no source: every token is kept, nothing is saved; "
                "pass source=... to lipar.enable on a WanPipeline, or the video itself",
                DoorWarning,
                stacklevel=2,
            )
        return latents
