"""The machine that figures were measured on: names, versions, speed of matrix products, peak memory."""

import gc
import platform
import statistics
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from lipar.watch.clock import Stopwatch


def describe(device: torch.device, dtype: torch.dtype) -> dict[str, Any]:
    """Device, versions and date; the date in UTC, the device memory in GiB.

    Args:
        device: where the model runs.
        dtype: number type of its weights.
    """
    found: dict[str, Any] = {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "device": _processor() if device.type == "cpu" else torch.cuda.get_device_name(device),
        "dtype": str(dtype).removeprefix("torch."),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
    }
    for name in ("lipar", "diffusers"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    if device.type == "cuda":
        found["cuda"] = torch.version.cuda
        found["driver"] = _driver()
        found["device_memory_gib"] = torch.cuda.get_device_properties(device).total_memory / 2**30
    return found


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """One line with what `describe` returned."""
    return ["  ".join(f"{name} {value}" for name, value in machine.items() if value is not None)]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def _driver() -> str | None:
    try:
        first = Path("/proc/driver/nvidia/version").read_text("utf-8").splitlines()[0]
    except (OSError, IndexError):
        return None
    return next((word for word in first.split() if word[:1].isdigit() and "." in word), None)


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
