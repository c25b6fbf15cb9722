"""The target `ltx`: how `lipar.enable` attaches to LTX-Video transformers and pipelines of diffusers."""

from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import attrs

from lipar.enabling.target_info import TargetInfo
from lipar_adapters.stock.target import StockTarget, is_a

if TYPE_CHECKING:
    from lipar_adapters.stock.enabled_pipeline import EnabledPipeline
    from lipar_adapters.stock.seam import StockSeam

_TEXT_TO_VIDEO = ("diffusers.pipelines.ltx.pipeline_ltx", "LTXPipeline")
_IMAGE_TO_VIDEO = ("diffusers.pipelines.ltx.pipeline_ltx_image2video", "LTXImageToVideoPipeline")

FACTS = frozenset({"attention-bias", "source"})
"""What every LTX model gives to parts under `lipar.enable`."""


@attrs.frozen
class LtxTarget(StockTarget):
    """Stock LTX-Video transformers and pipelines of diffusers (`lipar.enabling.target.Target`)."""

    supported: ClassVar[str] = "diffusers.LTXVideoTransformer3DModel, LTXPipeline, LTXImageToVideoPipeline"
    transformer: ClassVar[tuple[str, str]] = (
        "diffusers.models.transformers.transformer_ltx",
        "LTXVideoTransformer3DModel",
    )
    pipelines: ClassVar[tuple[tuple[str, str], ...]] = (_TEXT_TO_VIDEO, _IMAGE_TO_VIDEO)

    @staticmethod
    def seam_kind() -> "type[StockSeam]":
        """LTX's seam."""
        from lipar_adapters.ltx.seam import LtxSeam

        return LtxSeam

    @staticmethod
    def pipeline_kind() -> "type[EnabledPipeline]":
        """LTX's record of an enabled pipeline."""
        from lipar_adapters.ltx.enabled_pipeline import EnabledLtxPipeline

        return EnabledLtxPipeline

    def describe(self, target: Any) -> TargetInfo:
        """Facts, noise levels and autoencoder; a transformer without a pipeline has neither of the last two.

        Thresholds for the latents of LTX-Video are not known: `keep`, `quantile` or `tau_short` decides.
        """
        from lipar_adapters.ltx.output_tokens import latents_of_tokens

        transformers = self.checked_transformers(target)
        patch, channels = self.seam_kind().form_of(next(iter(transformers.values())))
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
        return attrs.evolve(
            info,
            facts=FACTS | {"clean-first-frame"} if is_a(target, *_IMAGE_TO_VIDEO) else FACTS,
            clock=partial(schedule_point, target),
            encode=None if target.vae is None else partial(_encode, target),
            pixels=(target.vae_temporal_compression_ratio, target.vae_spatial_compression_ratio),
        )


def _encode(pipe: Any, video: Any) -> Any:
    from lipar_adapters.ltx.clip_latents import encode_video

    return encode_video(pipe, video)
