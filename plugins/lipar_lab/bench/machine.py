"""What a figure was taken on: names and versions, and the ceiling of its matrix products."""

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
    """Device, versions and date."""
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
    """FLOP/s of a square matrix product of random data, median and best."""
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


def peak_memory(device: torch.device) -> int:
    """Peak bytes of this process: allocated on the GPU since `reset_peak_memory`, or resident since it began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    try:
        # unlike ru_maxrss, which a child inherits from its parent
        status = Path("/proc/self/status").read_text("utf-8")
        return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmHWM"))
    except (OSError, StopIteration):
        import resource

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def reset_peak_memory(device: torch.device) -> None:
    """Begin to measure anew; has no effect on a CPU, where a new process does."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)
