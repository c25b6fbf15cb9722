"""A profile of one denoise step and the clean pass, and its Chrome trace."""

import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from lipar.hookspecs import hookimpl
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.setup import Setup
from lipar_lab.bench.stream import BlockStream, bench_config

KEPT = (1.0, 0.35)
"""Kept fractions that are profiled; the trace is of the last."""


class PassLabels:
    """A plugin that names each pass in the trace: `denoise step` or `clean pass`."""

    names = ("denoise step", "clean pass")

    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_forward(self, forward_pass):
        """Name a pass."""
        with torch.profiler.record_function(self.names[forward_pass.clean]):
            return (yield)


def fits(setup: Setup) -> bool:
    """Causal models, where a file for the trace is given."""
    return setup.model.shape.causal and setup.trace is not None


def measure(setup: Setup) -> Iterator[dict[str, Any]]:
    """The profile of a block at each fraction of `KEPT`."""
    for kept in KEPT:
        yield profile_block(setup.model, kept, setup.trace if kept == KEPT[-1] else None)


def profile_block(model: BenchModel, kept: float, trace: Path | None) -> dict[str, Any]:
    """Time of every operation in one denoise step and the clean pass, the 40 most expensive ones listed.

    Args:
        model: a causal model.
        kept: kept fraction of the block.
        trace: file for a Chrome trace, compressed if its name ends in `.gz`; None: no trace.
    """
    config = bench_config(model.shape, "trimmed", "video-to-video", steps=(400,))
    stream = BlockStream(model, config, plugins=(PassLabels(),))
    stream.fill_window()
    keep_mask = random_mask(stream.grid, kept).to(model.device)
    stream.run(keep_mask)
    stages = stream.run_staged(keep_mask)
    on_cuda = model.device.type == "cuda"
    activities = [torch.profiler.ProfilerActivity.CPU]
    if on_cuda:
        activities.append(torch.profiler.ProfilerActivity.CUDA)
    with torch.profiler.profile(activities=activities) as profiler:
        seconds = stream.run(keep_mask).seconds
    averages = profiler.key_averages()
    if trace is not None:
        profiler.export_chrome_trace(str(trace))
    by = "self_device_time_total" if on_cuda else "self_cpu_time_total"
    operations = [event for event in averages if event.key not in PassLabels.names]
    kernels = [event for event in operations if on_cuda and event.device_type.name == "CUDA"]
    top = sorted(operations, key=lambda event: -getattr(event, by))[:40]
    return {
        "kept": kept,
        "seconds_profiled": seconds,
        "stages": stages,
        "kernels": sum(event.count for event in kernels),
        "kernel_seconds": sum(event.self_device_time_total for event in kernels) / 1e6,
        "top": [
            {"name": event.key[:100], "count": event.count, "milliseconds": getattr(event, by) / 1000}
            for event in top
        ],
    }


def lines(figures: dict[str, Any]) -> list[str]:
    """The number and time of kernels, the stages without the profiler, then the 20 most expensive operations."""
    stages = "  ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in figures["stages"].items())
    return [
        f"one step and clean pass at kept {figures['kept']:.2f}: {figures['kernels']} kernels, "
        f"{figures['kernel_seconds'] * 1000:.1f} ms on the device of {figures['seconds_profiled'] * 1000:.1f} ms",
        f"  ms per stage without the profiler: {stages}",
        *(
            f"  {one['milliseconds']:9.2f} ms  {one['count']:6d}  {one['name']}"
            for one in figures["top"][:20]
        ),
    ]
