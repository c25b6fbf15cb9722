"""The device and the type of numbers that a command computes with."""

import torch


def pick_device(name: str | None) -> torch.device:
    """The device of that name, or the best there is.

    Raises:
        ValueError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"no device named {name!r}; write cpu, cuda or cuda:1") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"--device {name}, but this PyTorch ({torch.__version__}) sees no CUDA device; use cpu"
        )
    return device


def pick_dtype(name: str | None, device: torch.device) -> torch.dtype:
    """The type of that name; None: bfloat16 on CUDA, else float32."""
    if name is None:
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    dtype: torch.dtype = getattr(torch, name)
    return dtype
