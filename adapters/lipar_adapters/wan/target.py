"""The target `wan`: how `lipar.enable` attaches to Wan transformers and pipelines of diffusers.

Each object owns what was enabled on it: a transformer its hooks (`seam`), a pipeline its record (`enabled_pipeline`).
`lipar.disable` of one leaves the other's.
"""

import sys
from functools import partial
from typing import Any, ClassVar

import attrs

from lipar.enabling.session import Session
from lipar.enabling.target_info import TargetInfo
from lipar_adapters.wan.autoencoder import TAU_LONG, TAU_SHORT

_PIPELINES = {
    "pipeline_wan": "WanPipeline",
    "pipeline_wan_i2v": "WanImageToVideoPipeline",
    "pipeline_wan_video2video": "WanVideoToVideoPipeline",
}

FACTS = frozenset({"attention-bias", "source"})
"""What every Wan model gives to parts under `lipar.enable`."""


@attrs.frozen
class WanThresholds:
    """The thresholds of Wan's latents, for an autoencoder that has none of its own."""

    tau_short: float = TAU_SHORT
    """Short-term threshold; source: arXiv 2603.05811."""
    tau_long: float = TAU_LONG
    """Long-term threshold; same source."""


@attrs.frozen
class WanTarget:
    """Stock Wan transformers and pipelines of diffusers (`lipar.enabling.target.Target`)."""

    supported: ClassVar[str] = (
        "diffusers.WanTransformer3DModel, WanPipeline, WanImageToVideoPipeline, WanVideoToVideoPipeline"
    )

    def recognises(self, target: object) -> bool:
        """Whether it is a stock Wan transformer or pipeline; imports nothing, an object's class is already loaded."""
        return _is(target, "models.transformers.transformer_wan", "WanTransformer3DModel") or _is_pipeline(
            target
        )

    def describe(self, target: Any) -> TargetInfo:
        """Facts, noise levels and autoencoder; a transformer without a pipeline has neither of the last two."""
        from lipar_adapters.wan.enabled_pipeline import check_free, experts
        from lipar_adapters.wan.output_tokens import latents_of_tokens

        found = dict(experts(target)) if _is_pipeline(target) else {"transformer": target}
        if not found:
            raise TypeError(f"this {type(target).__name__} has no transformer that could be pruned")
        for transformer in found.values():
            check_free(transformer)
        config = next(iter(found.values())).config
        patch = tuple(config.patch_size)
        # no closures: a copy of the pipeline takes along what belongs to it, and it can be pickled
        info = TargetInfo(
            facts=FACTS,
            patch_size=patch,
            channels=config.out_channels,
            latents_of_tokens=partial(latents_of_tokens, patch=patch),
        )
        if not _is_pipeline(target):
            return info
        from lipar_adapters.wan.begin import check_flow
        from lipar_adapters.wan.schedule_point import schedule_point

        check_flow(target.scheduler)
        has_image = _is(target, "pipelines.wan.pipeline_wan_i2v", "WanImageToVideoPipeline")
        image_among_tokens = has_image and target.config.expand_timesteps
        return attrs.evolve(
            info,
            facts=FACTS | {"clean-first-frame"} if image_among_tokens else FACTS,
            thresholds=target.vae if hasattr(target.vae, "tau_short") else WanThresholds(),
            clock=partial(schedule_point, target),
            encode=None if target.vae is None else partial(_encode, target),
            pixels=(target.vae_scale_factor_temporal, target.vae_scale_factor_spatial),
            brings_source=_brings_source(target),
        )

    def attach(self, target: Any, session: Session) -> None:
        """Prune all forwards of a transformer, or those of a pipeline's calls, by a session."""
        from lipar_adapters.wan.enabled_pipeline import EnabledPipeline
        from lipar_adapters.wan.seam import WanSeam, seam_of

        if _is_pipeline(target):
            reads_source = _brings_source(target) and session.source is None and session.layout is None
            EnabledPipeline(target, session, reads_source=reads_source).put()
            return
        seam = seam_of(target) or WanSeam(target)
        seam.own = session

    def session_of(self, target: Any) -> Session | None:
        """The session that was attached to this object itself, or None."""
        from lipar_adapters.wan.enabled_pipeline import EnabledPipeline
        from lipar_adapters.wan.seam import seam_of

        if _is_pipeline(target):
            enabled = EnabledPipeline.on(target)
            return None if enabled is None else enabled.session
        seam = seam_of(target)
        return None if seam is None else seam.own

    def detach(self, target: Any) -> None:
        """Restore the object's attributes, hooks and processors."""
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
