"""Time of the kernels alone, without the gaps in which a GPU waits for the host."""

from collections.abc import Callable

import torch


def kernel_seconds(run: Callable[[], object], device: torch.device, *, repeats: int = 3) -> float | None:
    """Seconds that the kernels of one run take on a GPU, the mean of some runs; None on a CPU.

    Args:
        run: what is timed; it has run before, so that nothing is compiled or allocated now.
        device: where it runs.
        repeats: number of runs.
    """
    if device.type != "cuda":
        return None
    torch.cuda.synchronize(device)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CUDA]) as profiler:
        for _ in range(repeats):
            run()
        torch.cuda.synchronize(device)
    kernels = (event for event in profiler.key_averages() if event.device_type.name == "CUDA")
    microseconds = sum(float(event.self_device_time_total) for event in kernels)
    return microseconds / 1e6 / repeats
