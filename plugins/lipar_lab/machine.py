"""The machine that figures were measured on: speed of matrix products, peak memory."""

import gc
import statistics
from pathlib import Path
from typing import Any

import torch

from lipar.watch.clock import Stopwatch


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """One line with what `describe` returned."""
    return ["  ".join(f"{name} {value}" for name, value in machine.items() if value is not None)]


def matmul_ceiling(
    device: torch.device, dtype: torch.dtype, *, size: int, repeats: int = 10
) -> dict[str, float]:
    """FLOP/s of a square matrix product of random data, median and best.

    Args:
        device: where the product runs.
        dtype: number type of the matrices.
        size: rows and columns.
        repeats: timed products (on a GPU, groups of ten); two more before them are not counted.
    """
    left, right = (torch.randn(size, size, device=device, dtype=dtype) for _ in range(2))
    inner = 10 if device.type == "cuda" else 1
    speeds = []
    for index in range(repeats + 2):
        watch = Stopwatch(device)
        for _ in range(inner):
            left @ right
        seconds = watch.seconds()
        if index >= 2:
            speeds.append(inner * 2 * size**3 / seconds)
    return {"size": float(size), "median": statistics.median(speeds), "best": max(speeds)}


def ceiling_lines(ceiling: dict[str, float]) -> list[str]:
    """One line with what `matmul_ceiling` returned."""
    return [f"matrix product of {ceiling['size']:.0f}^2: {ceiling['median'] / 1e12:.2f} TFLOP/s (median)"]


def peak_memory(device: torch.device) -> int:
    """Peak bytes of this process: on a GPU allocated since `reset_peak_memory`, on a CPU resident since its start."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        # not ru_maxrss first: a child process inherits its parent's
        status = Path("/proc/self/status").read_text("utf-8")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak_memory(device: torch.device) -> None:
    """Start a new measurement of peak memory; without effect on a CPU, where only a new process starts one."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
