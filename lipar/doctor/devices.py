"""Where a model would run: devices, the attention kernel, and the engine that `auto` picks."""

from collections.abc import Iterator
from pathlib import Path

from lipar.doctor.finding import Finding
from lipar.memory.needs import GIB

DRIVER = Path("/proc/driver/nvidia/version")
"""There where the driver of an NVIDIA GPU is loaded."""


def check_devices() -> Iterator[Finding]:
    """The CPU, and every GPU with its capability and memory; a GPU that this PyTorch does not see."""
    import torch

    yield Finding(
        "cpu", "ok", f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    )
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    for index in range(count):
        major, minor = torch.cuda.get_device_capability(index)
        free, total = torch.cuda.mem_get_info(index)
        text = f"{torch.cuda.get_device_name(index)}, compute capability {major}.{minor}"
        yield Finding(f"cuda:{index}", "ok", f"{text}, {free / GIB:.1f} of {total / GIB:.1f} GiB free")
    if not count and DRIVER.is_file():
        build = "was built without CUDA" if torch.version.cuda is None else "sees none"
        yield Finding(
            "cuda",
            "warning",
            f"there is an NVIDIA driver, but PyTorch {torch.__version__} {build}",
            "install PyTorch's build for CUDA, of a version that the driver takes",
        )


def check_attention() -> Iterator[Finding]:
    """The kernels of attention that PyTorch has for the usual device, and the one that it takes for a block of Wan."""
    import torch
    from torch.nn.attention import SDPBackend

    from lipar.editing.model import pick_device, pick_dtype

    device = pick_device(None)
    dtype = pick_dtype(None, device)
    # heads and channels of Wan 1.3B; few tokens, since the choice does not depend on their number
    q = torch.zeros(1, 12, 256, 128, device=device, dtype=dtype)
    chosen = SDPBackend(torch._fused_sdp_choice(q, q, q)).name.lower().removesuffix("_attention")
    name = str(dtype).removeprefix("torch.")
    if device.type == "cpu":
        yield Finding("kernel", "ok", f"{chosen} of PyTorch, in {name} on the CPU")
        return
    enabled = {
        "flash": torch.backends.cuda.flash_sdp_enabled(),
        "efficient": torch.backends.cuda.mem_efficient_sdp_enabled(),
        "cudnn": torch.backends.cuda.cudnn_sdp_enabled(),
        "math": torch.backends.cuda.math_sdp_enabled(),
    }
    there = ", ".join(kernel for kernel, on in enabled.items() if on)
    if chosen == "math":
        yield Finding(
            "kernel",
            "warning",
            f"math, in {name}; enabled: {there}",
            "no fused kernel takes this type here; try --dtype bfloat16, or float16 on older GPUs",
        )
        return
    yield Finding("kernel", "ok", f"{chosen}, in {name}; enabled: {there}")


def check_engine() -> Iterator[Finding]:
    """The engine that `auto` picks for the bundled models on the usual device, and why."""
    from lipar.editing.model import pick_device
    from lipar.engines.engine import why_no_graphs

    why_not = why_no_graphs(pick_device(None))
    if why_not is None:
        yield Finding("auto", "ok", "graphs: an NVIDIA GPU with Triton")
    else:
        yield Finding("auto", "ok", f"eager, since {why_not}")
