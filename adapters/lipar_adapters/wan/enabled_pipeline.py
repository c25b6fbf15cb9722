"""An enabled Wan pipeline: its transformers are pruned while its denoising loop runs, and only then.

A transformer may be a part of several pipelines, and may be called directly. So a pipeline puts nothing on it until one
of its calls denoises, and removes everything when that ends, also by an error. A stock pipeline opens its progress bar
for exactly that time, so this is where lipar begins and ends. Within the loop, a forward belongs to the pipeline if it
has the timestep that the pipeline and its scheduler are at. Any other forward, such as one of another pipeline that a
callback runs, is computed as without lipar.
"""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from lipar.enabling.session import Session
from lipar.enabling.target import EnableWarning
from lipar.video.given_frames import check_as_diffusers_reads
from lipar_adapters.wan.begin import check_flow
from lipar_adapters.wan.refusals import check_stock
from lipar_adapters.wan.region_decode import RegionDecode
from lipar_adapters.wan.seam import CallOfPipeline, WanSeam, seam_of
from lipar_adapters.wan.stand_in import StandIn, replaced

RECORD = "_lipar"
"""The attribute of a pipeline with its `EnabledPipeline`."""


class EnabledPipeline:
    """A pipeline and the session that prunes its calls.

    Transformers and scheduler are looked up in the pipeline when they are needed, so that they may be exchanged after
    `lipar.enable`, and a copy of the pipeline uses its own.

    Args:
        pipe: a stock Wan pipeline.
        session: prunes its calls.
        reads_source: measure redundancy on the video of each call.
    """

    def __init__(self, pipe: Any, session: Session, *, reads_source: bool) -> None:
        self.pipe, self.session, self._reads_source = pipe, session, reads_source
        self._pruned: list[tuple[Any, CallOfPipeline]] = []
        """Transformers of the running call, with the entry in their seam."""

    @classmethod
    def on(cls, pipe: Any) -> "EnabledPipeline | None":
        """The record of a pipeline; None if it is not enabled, as a shallow copy of an enabled one is not."""
        record = vars(pipe).get(RECORD)
        return record if isinstance(record, cls) and record.pipe is pipe else None

    def put(self) -> None:
        """Prune the pipeline's calls from now on."""
        setattr(self.pipe, RECORD, self)
        LoopBar(self).put()
        if self._reads_source:
            SourceReader(self).put()
        if self.session.info.brings_source and self.session.layout is None:
            VideoCheck(self).put()

    @classmethod
    def take_off(cls, pipe: Any) -> None:
        """Undo `put`, also in the middle of a call; does nothing if the pipeline is not enabled."""
        record = cls.on(pipe)
        if record is not None:
            record._release()
        vars(pipe).pop(RECORD, None)
        for name in (LoopBar.name, SourceReader.name, VideoCheck.name):
            StandIn.take_off(pipe, name)
        RegionDecode.take_off_of(pipe)

    def begin_call(self, undo: ExitStack) -> None:
        """Put the session on the transformers that the pipeline has now.

        Args:
            undo: gets what must be done when the loop ends.

        Raises:
            TypeError: one was exchanged for something that cannot be pruned, or the scheduler for one that does not
                follow flow matching.
            ValueError: one has other patches or channels than at `lipar.enable`.
        """
        if EnabledPipeline.on(self.pipe) is not self:
            return  # it was disabled, and its progress bar was kept
        RegionDecode.take_off_of(self.pipe)  # the call before may have returned latents
        check_flow(self.pipe.scheduler)
        session, checks = self.session, self.session.parts.checks
        pruned, foreign = session.counts.forwards, session.foreign_forwards

        def end_call(failed: type[BaseException] | None, *_: Any) -> None:
            self._release()
            if self._reads_source:
                session.take_source(None)
            checks.settle() if failed is None else checks.forget()  # those of the last forward
            if failed is None and session.counts.forwards == pruned and session.foreign_forwards > foreign:
                self._warn_of_nothing()
            if failed is None and EnabledPipeline.on(self.pipe) is self:
                RegionDecode.put_on(self.pipe, session.config.decode)

        undo.push(end_call)
        for name, transformer in experts(self.pipe):
            self._check_form(transformer)
            check_free(transformer)
            seam, call = seam_of(transformer) or WanSeam(transformer), CallOfPipeline(session, name)
            seam.calls.append(call)
            self._pruned.append((transformer, call))
        session.start()

    def _warn_of_nothing(self) -> None:
        warnings.warn(
            f"lipar pruned nothing in this call of {type(self.pipe).__name__}: no forward had the pipeline's "
            "`current_timestep`, as when the call is that of a shallow copy, or of a loop that does not set it",
            EnableWarning,
            stacklevel=2,
        )

    def _release(self) -> None:
        while self._pruned:
            transformer, call = self._pruned.pop()
            seam = seam_of(transformer)
            if seam is not None and call in seam.calls:
                seam.calls.remove(call)
                seam.remove_if_idle()

    def _check_form(self, transformer: Any) -> None:
        info, config = self.session.info, transformer.config
        if (tuple(config.patch_size), config.out_channels) != (info.patch_size, info.channels):
            raise ValueError(
                f"this pipeline's transformer has patches of {tuple(config.patch_size)} and {config.out_channels} "
                f"channels, but when lipar was enabled it had {info.patch_size} and {info.channels}; "
                "call lipar.enable(pipe, ...) again"
            )


class LoopBar(StandIn):
    """Replaces a pipeline's `progress_bar`."""

    name = "progress_bar"

    def __init__(self, enabled: EnabledPipeline) -> None:
        super().__init__(enabled.pipe, self.name)
        self._enabled = enabled

    def __call__(self, iterable: Any = None, total: int | None = None) -> Any:
        """The stock bar; one without an iterable begins the loop when it is opened."""
        bar = self.stock(iterable, total)
        return bar if iterable is not None else _OpenLoop(self._enabled, bar)


class _OpenLoop:
    """A progress bar; while it is open, its pipeline's transformers are pruned."""

    def __init__(self, enabled: EnabledPipeline, bar: Any) -> None:
        self._enabled, self._bar, self._undo = enabled, bar, ExitStack()

    def __enter__(self) -> Any:
        with ExitStack() as undo:
            self._enabled.begin_call(undo)
            shown = undo.enter_context(self._bar)
            self._undo = undo.pop_all()
        return shown

    def __exit__(self, *error: Any) -> bool | None:
        return self._undo.__exit__(*error)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._bar, name)  # until it is opened it is the bar itself


class SourceReader(StandIn):
    """Replaces `prepare_latents` of a video-to-video pipeline: what it encodes is the source of this call."""

    name = "prepare_latents"

    def __init__(self, enabled: EnabledPipeline) -> None:
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

    def __init__(self, enabled: EnabledPipeline) -> None:
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
        if enabled._reads_source:
            check_as_diffusers_reads(video)
            return
        warnings.warn(
            "this call has a video, and lipar.enable was given a source: the source decides which tokens are computed, "
            "the video is what is changed; call lipar.enable without a source to read the video of each call",
            EnableWarning,
            stacklevel=3,
        )


def experts(pipe: Any) -> Iterator[tuple[str, Any]]:
    """The transformers of a pipeline by name: one, or the two experts of Wan 2.2 A14B."""
    for name in ("transformer", "transformer_2"):
        transformer = getattr(pipe, name, None)
        if transformer is not None:
            yield name, transformer


def check_free(transformer: Any) -> None:
    """Refuse a transformer that a session cannot be put on.

    Raises:
        TypeError: see `lipar_adapters.wan.refusals.check_stock`.
        ValueError: it belongs to a model whose loop is lipar's own.
    """
    check_stock(transformer)
    seam = seam_of(transformer)
    if seam is not None and not seam.is_enabled:
        raise ValueError(
            "this transformer is already pruned by lipar, which drives it in a model of its own; "
            "one model can use it at a time"
        )
