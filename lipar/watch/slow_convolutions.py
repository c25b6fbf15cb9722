"""A warning where PyTorch 2.9 would spoil the times of Wan's autoencoder: its 3D convolutions in bfloat16 on a GPU.

2.9.0 computes them without cuDNN, in many times the time and memory; 2.9.1 does so with a cuDNN older than 9.15, as its
own is (github.com/pytorch/pytorch/issues/166643). Results are right.
"""

import warnings

import torch

GOOD_CUDNN = 91500
"""cuDNN 9.15, with which 2.9.1 computes them as other releases do."""


class SlowConvolutionsWarning(UserWarning):
    """This release of PyTorch computes 3D convolutions slowly in bfloat16."""


def convolutions_are_slow(device: torch.device, dtype: torch.dtype) -> bool:
    """Whether this release computes 3D convolutions slowly there.

    Args:
        device: of the weights.
        dtype: their type.
    """
    release = torch.__version__.partition("+")[0]
    if device.type != "cuda" or dtype != torch.bfloat16 or not release.startswith("2.9."):
        return False
    return release == "2.9.0" or (torch.backends.cudnn.version() or 0) < GOOD_CUDNN


def warn_of_slow_convolutions(device: torch.device, dtype: torch.dtype) -> None:
    """Warn where 3D convolutions will run on a GPU in bfloat16 with PyTorch 2.9; Python shows it once.

    Args:
        device: of the weights.
        dtype: their type.

    Warns:
        SlowConvolutionsWarning: says what to install.
    """
    if not convolutions_are_slow(device, dtype):
        return
    warnings.warn(
        f"torch {torch.__version__} computes 3D convolutions in bfloat16 many times slower than other releases do, so "
        "that times of Wan's autoencoder mean little; install torch 2.10 or later (or 2.9.1 with cuDNN 9.15)",
        SlowConvolutionsWarning,
        stacklevel=2,
    )
