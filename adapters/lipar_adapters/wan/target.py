"""How `lipar.enable` takes hold of Wan transformers and pipelines: the class methods of `lipar.enabling.target.Door`.

Each object owns what was enabled on it: a transformer its hooks, a pipeline its record (`enabled_pipeline`). `disable`
of one leaves the other's.
"""

import sys
from functools import partial
from typing import Any, ClassVar

import attrs

from lipar.enabling.session import Held, Hold
from lipar_adapters.wan.autoencoder import TAU_LONG, TAU_SHORT

_PIPELINES = {
    "pipeline_wan": "WanPipeline",
    "pipeline_wan_i2v": "WanImageToVideoPipeline",
    "pipeline_wan_video2video": "WanVideoToVideoPipeline",
}

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
        from lipar_adapters.wan.enabled_pipeline import check_free, moment, transformers

        experts = list(transformers(target)) if _is_pipeline(target) else [target]
        if not experts:
            raise TypeError(f"this {type(target).__name__} has no transformer that could be pruned")
        for expert in experts:
            check_free(expert)
        config = experts[0].config
        patch, channels = tuple(config.patch_size), config.out_channels
        if not _is_pipeline(target):
            return Held(facts=FACTS, patch_size=patch, channels=channels)
        from lipar_adapters.wan.begin import check_flow

        check_flow(target.scheduler)
        has_image = _is(target, "pipelines.wan.pipeline_wan_i2v", "WanImageToVideoPipeline")
        image_among_tokens = has_image and target.config.expand_timesteps
        own = target.vae if hasattr(target.vae, "tau_short") else WanThresholds()
        # no closures: a copy of the pipeline takes along what belongs to it, and it can be pickled
        return Held(
            facts=FACTS | {"clean-first-frame"} if image_among_tokens else FACTS,
            patch_size=patch,
            channels=channels,
            coder=own,
            clock=partial(moment, target),
            encode=None if target.vae is None else partial(_encode, target),
            pixels=(target.vae_scale_factor_temporal, target.vae_scale_factor_spatial),
            brings_source=_brings_source(target),
        )

    @classmethod
    def attach(cls, target: Any, hold: Hold) -> None:
        from lipar_adapters.wan.enabled_pipeline import EnabledPipeline
        from lipar_adapters.wan.seam import WanSeam, seam_of

        if _is_pipeline(target):
            reads_source = _brings_source(target) and hold.source is None and hold.layout is None
            EnabledPipeline(target, hold, reads_source=reads_source).put()
            return
        seam = seam_of(target) or WanSeam(target)
        seam.own = hold

    @classmethod
    def hold_of(cls, target: Any) -> Hold | None:
        from lipar_adapters.wan.enabled_pipeline import EnabledPipeline
        from lipar_adapters.wan.seam import seam_of

        if _is_pipeline(target):
            enabled = EnabledPipeline.on(target)
            return None if enabled is None else enabled.hold
        seam = seam_of(target)
        return None if seam is None else seam.own

    @classmethod
    def detach(cls, target: Any) -> None:
        from lipar_adapters.wan.enabled_pipeline import EnabledPipeline
        from lipar_adapters.wan.seam import seam_of, strip

        if _is_pipeline(target):
            EnabledPipeline.take_off(target)
            return
        seam = seam_of(target)
        if seam is None:
            strip(target)
        # a seam that is not enabled belongs to a model that lipar drives itself
        elif seam.is_enabled:
            seam.own = None
            seam.remove_if_idle()


def _is(target: object, module: str, name: str) -> bool:
    found = sys.modules.get(f"diffusers.{module}")
    return found is not None and isinstance(target, getattr(found, name))


def _is_pipeline(target: object) -> bool:
    return any(_is(target, f"pipelines.wan.{module}", name) for module, name in _PIPELINES.items())


def _encode(pipe: Any, video: Any) -> Any:
    from lipar_adapters.wan.video_to_video import encode_video

    return encode_video(pipe, video)


def _brings_source(target: Any) -> bool:
    return _is(target, "pipelines.wan.pipeline_wan_video2video", "WanVideoToVideoPipeline")
