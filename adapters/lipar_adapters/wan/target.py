"""The target `wan`: how `lipar.enable` attaches to Wan transformers and pipelines of diffusers."""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from lipar.enabling.session import Session
from lipar.enabling.target_info import TargetInfo
from lipar_adapters.stock.target import StockTarget, is_a
from lipar_adapters.wan.autoencoder import TAU_LONG, TAU_SHORT

if TYPE_CHECKING:
    from lipar_adapters.stock.enabled_pipeline import EnabledPipeline
    from lipar_adapters.stock.seam import StockSeam

_TEXT_TO_VIDEO = ("diffusers.pipelines.wan.pipeline_wan", "WanPipeline")
_IMAGE_TO_VIDEO = ("diffusers.pipelines.wan.pipeline_wan_i2v", "WanImageToVideoPipeline")
_VIDEO_TO_VIDEO = ("diffusers.pipelines.wan.pipeline_wan_video2video", "WanVideoToVideoPipeline")

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
class WanTarget(StockTarget):
    """Stock Wan transformers and pipelines of diffusers (`lipar.enabling.target.Target`)."""

    supported: ClassVar[str] = (
        "diffusers.WanTransformer3DModel, WanPipeline, WanImageToVideoPipeline, WanVideoToVideoPipeline"
    )
    transformer: ClassVar[tuple[str, str]] = (
        "diffusers.models.transformers.transformer_wan",
        "WanTransformer3DModel",
    )
    pipelines: ClassVar[tuple[tuple[str, str], ...]] = (_TEXT_TO_VIDEO, _IMAGE_TO_VIDEO, _VIDEO_TO_VIDEO)

    @staticmethod
    def seam_kind() -> "type[StockSeam]":
        """Wan's seam."""
        from lipar_adapters.wan.seam import WanSeam

        return WanSeam

    @staticmethod
    def pipeline_kind() -> "type[EnabledPipeline]":
        """The record that may read the video of a call."""
        from lipar_adapters.wan.enabled_pipeline import EnabledWanPipeline

        return EnabledWanPipeline

    def enabled(self, pipe: Any, session: Session) -> "EnabledPipeline":
        """The record of a pipeline; video-to-video measures on its own video unless it is told something else."""
        from lipar_adapters.wan.enabled_pipeline import EnabledWanPipeline

        reads_source = is_a(pipe, *_VIDEO_TO_VIDEO) and session.source is None and session.layout is None
        return EnabledWanPipeline(pipe, session, reads_source=reads_source)

    def describe(self, target: Any) -> TargetInfo:
        """Facts, noise levels and autoencoder; a transformer without a pipeline has neither of the last two."""
        from lipar_adapters.wan.output_tokens import latents_of_tokens

        transformers = self.checked_transformers(target)
        patch, channels = self.seam_kind().form_of(next(iter(transformers.values())))
        # no closures: a copy of the pipeline takes along what belongs to it, and it can be pickled
        info = TargetInfo(
            facts=FACTS,
            patch_size=patch,
            channels=channels,
            latents_of_tokens=partial(latents_of_tokens, patch=patch),
        )
        if not self.is_pipeline(target):
            return info
        from lipar_adapters.stock.flow import check_flow
        from lipar_adapters.stock.schedule_point import schedule_point

        check_flow(target.scheduler)
        image_among_tokens = is_a(target, *_IMAGE_TO_VIDEO) and target.config.expand_timesteps
        return attrs.evolve(
            info,
            facts=FACTS | {"clean-first-frame"} if image_among_tokens else FACTS,
            thresholds=target.vae if hasattr(target.vae, "tau_short") else WanThresholds(),
            clock=partial(schedule_point, target),
            encode=None if target.vae is None else partial(_encode, target),
            pixels=(target.vae_scale_factor_temporal, target.vae_scale_factor_spatial),
            brings_source=is_a(target, *_VIDEO_TO_VIDEO),
        )


def _encode(pipe: Any, video: Any) -> Any:
    from lipar_adapters.wan.video_to_video import encode_video

    return encode_video(pipe, video)
