"""Memory that is free on this machine."""

from pathlib import Path

import torch

MEMINFO = Path("/proc/meminfo")
CPU = torch.device("cpu")


def free_bytes(device: torch.device) -> int | None:
    """Memory that a device has free, in bytes; None where that is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return meminfo("MemAvailable") if device.type == "cpu" else None


def total_bytes(device: torch.device) -> int | None:
    """All memory of a device, in bytes; None where that is not known."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[1]
    return meminfo("MemTotal") if device.type == "cpu" else None


def meminfo(name: str) -> int | None:
    """A row of what Linux says about its memory, in bytes; None where there is no such row.

    Args:
        name: of the row, such as `MemAvailable`.
    """
    if not MEMINFO.is_file():
        return None
    for line in MEMINFO.read_text("ascii").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) * 1024
    return None
