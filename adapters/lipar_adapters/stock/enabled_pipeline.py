"""An enabled pipeline: its transformers are pruned while its denoising loop runs, and only then.

A transformer may be a part of several pipelines, and may be called directly. So a pipeline puts nothing on it until one
of its calls denoises, and removes everything when that ends, also by an error. A stock pipeline opens its progress bar
for exactly that time, so this is where lipar begins and ends. Within the loop, a forward belongs to the pipeline if it
has the timestep that the pipeline and its scheduler are at. Any other forward, such as one of another pipeline that a
callback runs, is computed as without lipar.
"""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

from lipar.enabling.session import Session
from lipar.enabling.target import EnableWarning
from lipar_adapters.stock.flow import check_flow
from lipar_adapters.stock.seam import CallOfPipeline, StockSeam, seam_of
from lipar_adapters.stock.stand_in import StandIn

RECORD = "_lipar"
"""The attribute of a pipeline with its `EnabledPipeline`."""


class EnabledPipeline:
    """A pipeline and the session that prunes its calls; a family derives its own.

    Transformers and scheduler are looked up in the pipeline when they are needed, so that they may be exchanged after
    `lipar.enable`, and a copy of the pipeline uses its own.

    Args:
        pipe: a stock pipeline.
        session: prunes its calls.
    """

    seam: ClassVar[type[StockSeam]]
    """What is put on its transformers."""
    replaced: ClassVar[tuple[str, ...]] = ("progress_bar",)
    """Methods of the pipeline that `put` replaces."""

    def __init__(self, pipe: Any, session: Session) -> None:
        self.pipe, self.session = pipe, session
        self._pruned: list[tuple[Any, CallOfPipeline]] = []
        """Transformers of the running call, with the entry in their seam."""

    @classmethod
    def on(cls, pipe: Any) -> "EnabledPipeline | None":
        """The record of a pipeline; None if it is not enabled, as a shallow copy of an enabled one is not."""
        record = vars(pipe).get(RECORD)
        return record if isinstance(record, EnabledPipeline) and record.pipe is pipe else None

    def put(self) -> None:
        """Prune the pipeline's calls from now on."""
        setattr(self.pipe, RECORD, self)
        LoopBar(self).put()

    @classmethod
    def take_off(cls, pipe: Any) -> None:
        """Undo `put`, also in the middle of a call; does nothing if the pipeline is not enabled."""
        record = cls.on(pipe)
        if record is not None:
            record._release()
        vars(pipe).pop(RECORD, None)
        for name in cls.replaced:
            StandIn.take_off(pipe, name)

    def loop_begins(self) -> None:
        """Called when the denoising loop of a call begins."""

    def loop_ended(self) -> None:
        """Called when that loop has ended, also by an error, and the transformers are stock again."""

    def clip_is_denoised(self) -> None:
        """Called after `loop_ended` where there was no error; what the pipeline decodes now was pruned."""

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
        self.loop_begins()
        check_flow(self.pipe.scheduler)
        session, checks = self.session, self.session.parts.checks
        pruned, foreign = session.counts.forwards, session.foreign_forwards

        def end_call(failed: type[BaseException] | None, *_: Any) -> None:
            self._release()
            self.loop_ended()
            checks.settle() if failed is None else checks.forget()  # those of the last forward
            if failed is None and session.counts.forwards == pruned and session.foreign_forwards > foreign:
                self._warn_of_nothing()
            if failed is None and EnabledPipeline.on(self.pipe) is self:
                self.clip_is_denoised()

        undo.push(end_call)
        for name, transformer in experts(self.pipe):
            self._check_form(transformer)
            self.seam.check_free(transformer)
            seam, call = seam_of(transformer) or self.seam(transformer), CallOfPipeline(session, name)
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
        info = self.session.info
        patch, channels = self.seam.form_of(transformer)
        if (patch, channels) != (info.patch_size, info.channels):
            raise ValueError(
                f"this pipeline's transformer has patches of {patch} and {channels} "
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


def experts(pipe: Any) -> Iterator[tuple[str, Any]]:
    """The transformers of a pipeline by name: one, or the two experts of Wan 2.2 A14B."""
    for name in ("transformer", "transformer_2"):
        transformer = getattr(pipe, name, None)
        if transformer is not None:
            yield name, transformer
