"""An enabled Wan pipeline: the source may be the video of each call, and the clip may be decoded by regions."""

import inspect
import warnings
from typing import Any, ClassVar

from lipar.enabling.session import Session
from lipar.enabling.target import EnableWarning
from lipar.video.given_frames import check_as_diffusers_reads
from lipar_adapters.stock.enabled_pipeline import EnabledPipeline, LoopBar
from lipar_adapters.stock.seam import StockSeam
from lipar_adapters.stock.stand_in import StandIn, replaced
from lipar_adapters.wan.region_decode import RegionDecode
from lipar_adapters.wan.seam import WanSeam


class EnabledWanPipeline(EnabledPipeline):
    """A Wan pipeline and the session that prunes its calls.

    Args:
        pipe: a stock Wan pipeline.
        session: prunes its calls.
        reads_source: measure redundancy on the video of each call.
    """

    seam: ClassVar[type[StockSeam]] = WanSeam
    replaced: ClassVar[tuple[str, ...]] = (LoopBar.name, "prepare_latents", "check_inputs")

    def __init__(self, pipe: Any, session: Session, *, reads_source: bool) -> None:
        super().__init__(pipe, session)
        self.reads_source = reads_source

    def put(self) -> None:
        """Prune the pipeline's calls from now on."""
        super().put()
        if self.reads_source:
            SourceReader(self).put()
        if self.session.info.brings_source and self.session.layout is None:
            VideoCheck(self).put()

    @classmethod
    def take_off(cls, pipe: Any) -> None:
        """Undo `put`, also in the middle of a call; does nothing if the pipeline is not enabled."""
        super().take_off(pipe)
        RegionDecode.take_off_of(pipe)

    def loop_begins(self) -> None:
        """Forget the call before, which may have returned latents."""
        RegionDecode.take_off_of(self.pipe)

    def loop_ended(self) -> None:
        """Forget the video of this call."""
        if self.reads_source:
            self.session.take_source(None)

    def clip_is_denoised(self) -> None:
        """Decode by regions, if the config says so."""
        RegionDecode.put_on(self.pipe, self.session.config.decode)


class SourceReader(StandIn):
    """Replaces `prepare_latents` of a video-to-video pipeline: what it encodes is the source of this call."""

    name = "prepare_latents"

    def __init__(self, enabled: EnabledWanPipeline) -> None:
        super().__init__(enabled.pipe, self.name)
        self._enabled = enabled

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The stock latents; the clean latents that the stock method adds noise to become the source."""
        enabled = self._enabled
        if EnabledPipeline.on(enabled.pipe) is not enabled:
            return self.stock(*args, **kwargs)
        scheduler = enabled.pipe.scheduler
        name = "add_noise" if hasattr(scheduler, "add_noise") else "scale_noise"
        stock, encoded = getattr(scheduler, name), []

        def noted(sample: Any, *rest: Any, **named: Any) -> Any:
            encoded.append(sample)
            return stock(sample, *rest, **named)

        with replaced(scheduler, name, noted):
            latents = self.stock(*args, **kwargs)
        # the first video of a batch decides: one mask serves the whole call
        enabled.session.take_source(encoded[0][:1].transpose(1, 2) if encoded else None)
        if not encoded and not enabled.session.changes_between_steps:
            warnings.warn(
                "latents were given instead of a video, so there is no source: every token is kept, nothing is saved; "
                "pass source=... to lipar.enable on a WanPipeline, or the video itself",
                EnableWarning,
                stacklevel=2,
            )
        return latents


class VideoCheck(StandIn):
    """Replaces `check_inputs` of a video-to-video pipeline: refuses a video that diffusers would misread."""

    name = "check_inputs"

    def __init__(self, enabled: EnabledWanPipeline) -> None:
        super().__init__(enabled.pipe, self.name)
        self._enabled = enabled

    def __call__(self, *args: Any, **kwargs: Any) -> None:
        """Check as the stock method does, and then the video.

        Raises:
            ValueError: diffusers would misread the video.
        """
        stock, enabled = self.stock, self._enabled
        stock(*args, **kwargs)
        video = inspect.signature(stock).bind(*args, **kwargs).arguments.get("video")
        if video is None or EnabledPipeline.on(enabled.pipe) is not enabled:
            return
        if enabled.reads_source:
            check_as_diffusers_reads(video)
            return
        warnings.warn(
            "this call has a video, and lipar.enable was given a source: the source decides which tokens are computed, "
            "the video is what is changed; call lipar.enable without a source to read the video of each call",
            EnableWarning,
            stacklevel=3,
        )
