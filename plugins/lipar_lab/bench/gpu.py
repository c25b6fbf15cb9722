"""What only a GPU can tell: where the host waits for the device, and a trace of a block."""

import collections
import warnings
from pathlib import Path
from typing import Any

import torch

from lipar_lab.bench.masks import random_mask
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.stream import BlockStream, bench_config


def count_syncs(model: BenchModel, kept: float) -> dict[str, Any]:
    """Waits of the host for the device inside one pruned block, by the line that waits.

    Counted by PyTorch's own warning; the two with which a block is timed are not among them.
    """
    stream = BlockStream(model, bench_config(model.shape, "trimmed", "video-to-video"))
    stream.fill_window()
    keep_mask = random_mask(stream.grid, kept).to(model.device)
    stream.run(keep_mask)
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stream.run(keep_mask)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    lines = collections.Counter(
        f"{'/'.join(Path(one.filename).parts[-2:])}:{one.lineno}"
        for one in caught
        if "synchroniz" in str(one.message)
    )
    return {"count": sum(lines.values()), "lines": dict(lines.most_common())}


def profile_block(model: BenchModel, kept: float, trace: Path | None) -> dict[str, Any]:
    """Where the device and the host spend one denoise step and the clean pass.

    Args:
        trace: write a Chrome trace here; a name ending in `.gz` is compressed.
    """
    stream = BlockStream(model, bench_config(model.shape, "trimmed", "video-to-video", steps=(400,)))
    stream.fill_window()
    keep_mask = random_mask(stream.grid, kept).to(model.device)
    stream.run(keep_mask)
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
    kernels = [event for event in averages if on_cuda and event.device_type.name == "CUDA"]
    top = sorted(averages, key=lambda event: -getattr(event, by))[:40]
    return {
        "kept": kept,
        "seconds_profiled": seconds,
        "kernels": sum(event.count for event in kernels),
        "kernel_seconds": sum(event.self_device_time_total for event in kernels) / 1e6,
        "top": [
            {"name": event.key[:100], "count": event.count, "milliseconds": getattr(event, by) / 1000}
            for event in top
        ],
    }
