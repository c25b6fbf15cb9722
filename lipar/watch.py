"""Watching a run: a plugin that wraps the stages and adds up their time."""

import typing
from collections.abc import Iterator
from contextlib import contextmanager

import attrs
import torch

from lipar.clock import Stopwatch
from lipar.hookspecs import hookimpl


@attrs.define
class StageTimer:
    """Seconds per stage, by name; register it as a plugin. Dense probes are not counted.

    On a GPU every stage waits for the device, so that its seconds are its own.
    """

    device: torch.device = attrs.field(factory=lambda: torch.device("cpu"))
    seconds: dict[str, float] = attrs.field(factory=dict)

    @contextmanager
    def measure(self, stage: str) -> Iterator[None]:
        """Add the time of what is inside to a stage."""
        watch = Stopwatch(self.device)
        try:
            yield
        finally:
            self.seconds[stage] = self.seconds.get(stage, 0.0) + watch.seconds()

    # pluggy takes a generator function for a wrapper, whatever the annotation says
    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_prune(self):
        with self.measure("mask"):
            return (yield)

    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_forward(self, job, forward_pass):
        if job.probing:
            return (yield)
        with self.measure("clean pass" if forward_pass.clean else "DiT"):
            return (yield)

    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_restore(self):
        with self.measure("restore"):
            return (yield)
