"""Times of the stages of an edit: a plugin that wraps them, the only one that measures."""

import typing
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import attrs
import torch

from lipar.events import Span
from lipar.hookspecs import hookimpl
from lipar.watch.clock import Clock, Mark

PROBE = "dense probe"
"""The stage of forwards with every token kept that are run only to be timed."""


@attrs.define
class StageTimer:
    """Measures the time of every stage; register it as a plugin.

    On a GPU nothing waits for the device until `take` or `seconds` is asked for.
    """

    device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))
    _clock: Clock = attrs.field(
        init=False, default=attrs.Factory(lambda self: Clock(self.device), takes_self=True)
    )
    _marks: list[tuple[str, int | None, Mark, Mark]] = attrs.field(init=False, factory=list)
    _spans: list[Span] = attrs.field(init=False, factory=list)
    _seconds: dict[str, float] = attrs.field(init=False, factory=dict)

    @contextmanager
    def measure(self, stage: str, step: int | None = None) -> Iterator[None]:
        """Measure the time of the `with` block.

        Args:
            stage: name of the stage.
            step: index of the denoise step, -1 for the clean pass; None: the stage has no steps.
        """
        begin = self._clock.mark()
        try:
            yield
        finally:
            self._marks.append((stage, step, begin, self._clock.mark()))

    @property
    def seconds(self) -> dict[str, float]:
        """Seconds per stage until now, by name; waits for the device."""
        self._read()
        return dict(self._seconds)

    def take(self) -> list[Span]:
        """The spans since this was last called, in the order in which they ended; waits for the device."""
        self._read()
        taken, self._spans = self._spans, []
        return taken

    def _read(self) -> None:
        for stage, step, begin, end in self._marks:
            start = self._clock.read(begin)
            span = Span(stage=stage, start=start, seconds=self._clock.read(end) - start, step=step)
            self._spans.append(span)
            self._seconds[stage] = self._seconds.get(stage, 0.0) + span.seconds
        self._marks.clear()

    # trylast: innermost, so that the work of other wrappers is not counted as the stage's own.
    # pluggy takes a generator function for a wrapper, whatever the annotation says.
    @hookimpl(wrapper=True, trylast=True)
    @typing.no_type_check
    def lipar_prune(self):
        """Measure the mask."""
        with self.measure("mask"):
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
