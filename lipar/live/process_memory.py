"""Memory that this process and PyTorch have in use."""

from pathlib import Path

import torch

STATM = Path("/proc/self/statm")


def process_bytes() -> int | None:
    """Memory of this process that is resident, in bytes; None where the system is not Linux."""
    if not STATM.is_file():
        return None
    import resource

    return int(STATM.read_text("ascii").split()[1]) * resource.getpagesize()


def device_bytes(device: torch.device) -> int | None:
    """Memory that PyTorch has in use on a GPU, in bytes; None for other devices."""
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else None
