"""Time on the device at hand."""

import time

import torch


def synchronize(device: torch.device) -> None:
    """Wait until the device has done what it was given; at once on a CPU."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class Stopwatch:
    """Seconds since it was made, the device's pending work included."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        synchronize(device)
        self._start = time.perf_counter()

    def seconds(self) -> float:
        synchronize(self._device)
        return time.perf_counter() - self._start
