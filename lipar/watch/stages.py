"""Times of the stages of an edit: a plugin that wraps them, the only one that measures."""

import threading
import typing
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import attrs
import torch

from lipar.events import MODEL_THREAD, Span
from lipar.hookspecs import hookimpl
from lipar.watch.clock import Clock, Mark, is_reached

PROBE = "dense probe"
"""The stage of forwards with every token kept that are run only to be timed."""


READING, WRITING = "decode", "write"
"""The stages that have a thread of their own: from the source to frames, and from frames to files."""
MASK = "mask"
"""The stage in which the mask of a block is made; a dense run has none."""
WAIT_FOR_FRAMES = "wait for frames"
"""The stage in which the model waits until a block's frames have been read."""
WAIT_FOR_WRITER = "wait for the writer"
"""The stage in which it waits until earlier blocks have been written."""

WAITS = (WAIT_FOR_FRAMES, WAIT_FOR_WRITER)

_Item = TypeVar("_Item")


@attrs.frozen
class _Marks:
    """Begin and end of a piece of work, not yet read."""

    stage: str
    step: int | None
    thread: str
    clock: Clock
    begin: Mark
    end: Mark


@attrs.define
class StageTimer:
    """Measures the time of every stage, in any thread; register it as a plugin.

    On a GPU the stages of the model are measured by the device, which nothing waits for until `seconds` is asked for.
    Work of the host, such as reading a file, is measured by the host's clock, which is set to the device's once.
    """

    device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))
    _clock: Clock = attrs.field(
        init=False, default=attrs.Factory(lambda self: Clock(self.device), takes_self=True)
    )
    _host_clock: Clock = attrs.field(
        init=False, default=attrs.Factory(lambda self: self._clock.on_host(), takes_self=True)
    )
    _marks: deque[_Marks] = attrs.field(init=False, factory=deque)
    """In the order in which they ended. A deque, since threads add to it while it is read."""
    _home: int = attrs.field(init=False, factory=threading.get_ident)
    """The thread that calls the model."""
    _spans: list[Span] = attrs.field(init=False, factory=list)
    _seconds: dict[str, float] = attrs.field(init=False, factory=dict)

    @contextmanager
    def measure(self, stage: str, step: int | None = None, *, on_host: bool = False) -> Iterator[None]:
        """Measure the time of the `with` block.

        Args:
            stage: name of the stage.
            step: index of the denoise step, -1 for the clean pass; None: the stage has no steps.
            on_host: measure the work of the host, not what it gives the device to do.
        """
        clock = self._host_clock if on_host else self._clock
        begin = clock.mark()
        try:
            yield
        finally:
            here = threading.current_thread()
            thread = MODEL_THREAD if here.ident == self._home else here.name
            self._marks.append(_Marks(stage, step, thread, clock, begin, clock.mark()))

    def measure_each(self, stage: str, items: Iterator[_Item]) -> Iterator[_Item]:
        """The items, each with the host's time in which it was made as a span of a stage."""
        while True:
            with self.measure(stage, on_host=True):
                item = next(items, None)
            if item is None:
                return
            yield item

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per stage until now, by name; waits for the device."""
        self._read(wait=True)
        return dict(self._seconds)

    def take(self, *, wait: bool = True) -> list[Span]:
        """The spans since this was last called, in the order in which they ended.

        Args:
            wait: for what the device has not done yet; else these spans come later.
        """
        self._read(wait=wait)
        taken, self._spans = self._spans, []
        return taken

    def _read(self, *, wait: bool) -> None:
        while self._marks and (wait or is_reached(self._marks[0].end)):
            marks = self._marks.popleft()
            start = marks.clock.read(marks.begin)
            span = Span(
                stage=marks.stage,
                start=start,
                seconds=marks.clock.read(marks.end) - start,
                step=marks.step,
                thread=marks.thread,
            )
            self._spans.append(span)
            self._seconds[span.stage] = self._seconds.get(span.stage, 0.0) + span.seconds

    # trylast: innermost, so that the work of other wrappers is not counted as the stage's own.
    # pluggy takes a generator function for a wrapper, whatever the annotation says.
    @hookimpl(wrapper=True, trylast=True)
    @typing.no_type_check
    def lipar_prune(self):
        """Measure the mask."""
        with self.measure(MASK):
            return (yield)

    @hookimpl(wrapper=True, trylast=True)
    @typing.no_type_check
    def lipar_forward(self, job, forward_pass):
        """Measure a pass: a denoise step, the clean pass, or one of a dense probe."""
        stage = PROBE if job.probing else "clean pass" if forward_pass.clean else "DiT"
        with self.measure(stage, forward_pass.step):
            return (yield)

    @hookimpl(wrapper=True, trylast=True)
    @typing.no_type_check
    def lipar_restore(self):
        """Measure the restoration."""
        with self.measure("restore"):
            return (yield)


def seconds_per_stage(spans: Iterable[Span]) -> dict[str, float]:
    """Seconds of some spans, summed by stage."""
    added: dict[str, float] = {}
    for span in spans:
        added[span.stage] = added.get(span.stage, 0.0) + span.seconds
    return added
