"""What `lipar.enable` leaves on a Wan pipeline: its transformers are pruned while its loop runs, and only then.

A transformer may be a part of several pipelines, and be called by itself. So a pipeline puts nothing on it until one of
its calls denoises, and takes everything off when that ends, also by an error. A stock pipeline opens its progress bar
for exactly that time, so this is where lipar begins and ends. Within the loop, a forward belongs to the pipeline if it
has the timestep that the pipeline and its scheduler are at. Any other, such as one of another pipeline that a callback
runs, is computed as if lipar were not there.
"""

import inspect
import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from lipar.enabling.session import Hold, Moment
from lipar.enabling.target import DoorWarning
from lipar.video.given_frames import check_as_diffusers_reads
from lipar_adapters.wan.begin import check_flow
from lipar_adapters.wan.refusals import check_stock
from lipar_adapters.wan.seam import WanSeam, seam_of
from lipar_adapters.wan.stand_in import StandIn, replaced

RECORD = "_lipar"
"""The attribute of a pipeline that says who prunes its calls."""
TIMESTEP_ERROR = 1e-2
"""How far a timestep of 0..1000 may be from another one and still be the same."""


class EnabledPipeline:
    """A pipeline and the hold that prunes its calls.

    Everything is found from the pipeline when it is needed (transformers, scheduler), so that parts may be exchanged
    after `lipar.enable`, and a copy prunes by its own parts.
    """

    def __init__(self, pipe: Any, hold: Hold, *, reads_source: bool) -> None:
        self.pipe, self.hold, self._reads_source = pipe, hold, reads_source
        self._taken: list[Any] = []

    @classmethod
    def on(cls, pipe: Any) -> "EnabledPipeline | None":
        """What prunes the pipeline's calls; None where nothing does, such as on a shallow copy of another one."""
        record = vars(pipe).get(RECORD)
        return record if isinstance(record, cls) and record.pipe is pipe else None

    def put(self) -> None:
        """Prune the pipeline's calls from now on."""
        setattr(self.pipe, RECORD, self)
        LoopBar(self).put()
        if self._reads_source:
            SourceReader(self).put()
        if self.hold.held.brings_source and self.hold.layout is None:
            VideoCheck(self).put()

    @classmethod
    def take_off(cls, pipe: Any) -> None:
        """Undo `put`, also in the middle of a call; nothing happens where nothing was put."""
        record = cls.on(pipe)
        if record is not None:
            record._release()
        vars(pipe).pop(RECORD, None)
        for name in (LoopBar.name, SourceReader.name, VideoCheck.name):
            StandIn.take_off(pipe, name)

    def begin_call(self, undo: ExitStack) -> None:
        """Take hold of the transformers that the pipeline has now.

        Args:
            undo: what is to be done when the loop ends.

        Raises:
            TypeError: one was exchanged for something that cannot be pruned, or the scheduler for one that does not
                follow flow matching.
            ValueError: one has other patches or channels than at `lipar.enable`.
        """
        if EnabledPipeline.on(self.pipe) is not self:
            return  # it was disabled, and somebody kept its progress bar
        check_flow(self.pipe.scheduler)
        pruned, foreign = self.hold.forwards, self.hold.foreign_forwards

        def end_call(failed: type[BaseException] | None, *_: Any) -> None:
            self._release()
            if self._reads_source:
                self.hold.take_source(None)
            checks = self.hold.parts.checks
            checks.settle() if failed is None else checks.forget()  # what the last forward expected
            if failed is None and self.hold.forwards == pruned and self.hold.foreign_forwards > foreign:
                self._warn_of_nothing()

        undo.push(end_call)
        for transformer in transformers(self.pipe):
            self._check_form(transformer)
            check_free(transformer)
            seam = seam_of(transformer) or WanSeam(transformer)
            seam.calls.append(self.hold)
            self._taken.append(transformer)
        self.hold.start()

    def _warn_of_nothing(self) -> None:
        warnings.warn(
            f"lipar pruned nothing in this call of {type(self.pipe).__name__}: no forward had the pipeline's "
            "`current_timestep`, as when the call is that of a shallow copy, or of a loop that does not set it",
            DoorWarning,
            stacklevel=2,
        )

    def _release(self) -> None:
        while self._taken:
            seam = seam_of(self._taken.pop())
            if seam is not None and self.hold in seam.calls:
                seam.calls.remove(self.hold)
                seam.remove_if_idle()

    def _check_form(self, transformer: Any) -> None:
        held, config = self.hold.held, transformer.config
        if (tuple(config.patch_size), config.out_channels) != (held.patch_size, held.channels):
            raise ValueError(
                f"this pipeline's transformer has patches of {tuple(config.patch_size)} and {config.out_channels} "
                f"channels, but when lipar was enabled it had {held.patch_size} and {held.channels}; "
                "call lipar.enable(pipe, ...) again"
            )


class LoopBar(StandIn):
    """Stands in for a pipeline's `progress_bar`."""

    name = "progress_bar"

    def __init__(self, enabled: EnabledPipeline) -> None:
        super().__init__(enabled.pipe, self.name)
        self._enabled = enabled

    def __call__(self, iterable: Any = None, total: int | None = None) -> Any:
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
        return getattr(self._bar, name)  # to somebody who does not open it, it is the bar


class SourceReader(StandIn):
    """Stands in for the `prepare_latents` of a video-to-video pipeline: what it encodes is the source of this call."""

    name = "prepare_latents"

    def __init__(self, enabled: EnabledPipeline) -> None:
        super().__init__(enabled.pipe, self.name)
        self._enabled = enabled

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
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
        # the first of several videos decides, as one mask serves a call
        enabled.hold.take_source(encoded[0][:1].transpose(1, 2) if encoded else None)
        if not encoded and not enabled.hold.changes_between_steps:
            warnings.warn(
                "latents were given instead of a video, so there is no source: every token is kept, nothing is saved; "
                "pass source=... to lipar.enable on a WanPipeline, or the video itself",
                DoorWarning,
                stacklevel=2,
            )
        return latents


class VideoCheck(StandIn):
    """Stands in for the `check_inputs` of a video-to-video pipeline: its video is read by lipar, too."""

    name = "check_inputs"

    def __init__(self, enabled: EnabledPipeline) -> None:
        super().__init__(enabled.pipe, self.name)
        self._enabled = enabled

    def __call__(self, *args: Any, **kwargs: Any) -> None:
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
            DoorWarning,
            stacklevel=3,
        )


def transformers(pipe: Any) -> Iterator[Any]:
    """All that denoise in a pipeline: one or two experts."""
    for name in ("transformer", "transformer_2"):
        transformer = getattr(pipe, name, None)
        if transformer is not None:
            yield transformer


def check_free(transformer: Any) -> None:
    """Refuse a transformer that lipar cannot take hold of.

    Raises:
        TypeError: see `lipar_adapters.wan.refusals.check_stock`.
        ValueError: a model that lipar drives itself holds it.
    """
    check_stock(transformer)
    seam = seam_of(transformer)
    if seam is not None and not seam.is_enabled:
        raise ValueError(
            "this transformer is already pruned by lipar, which drives it in a model of its own; "
            "one model can hold it at a time"
        )


def moment(pipe: Any, timestep: float) -> Moment | None:
    """Where a pipeline's schedule stands in a forward with this timestep; None: the forward is not the pipeline's.

    Its own has the timestep that the pipeline is at and that its scheduler is about to step from. In a callback the
    scheduler has already stepped, so what is called there is not its own, whatever its timestep.

    Raises:
        TypeError: the scheduler was exchanged for one that does not follow flow matching.
    """
    present = getattr(pipe, "current_timestep", None)
    if present is None or not _same(present, timestep):
        return None
    scheduler = pipe.scheduler
    check_flow(scheduler)
    index = scheduler.step_index
    if index is None:
        # before the first step; video-to-video begins in the middle of the schedule without telling the scheduler
        found = ((scheduler.timesteps - timestep).abs() <= TIMESTEP_ERROR).nonzero().flatten()
        index = int(found[0]) if len(found) else len(scheduler.timesteps)
    if index >= len(scheduler.timesteps) or not _same(scheduler.timesteps[index], timestep):
        return None
    return Moment(int(index), float(scheduler.sigmas[index]))


def _same(one: Any, other: float) -> bool:
    return abs(float(one) - other) <= TIMESTEP_ERROR
