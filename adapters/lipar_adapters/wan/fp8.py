"""Linear layers of a Wan transformer in 8-bit floating point, with a scale for each row of the input and the weights.

    x W^T  =  (rows of x / s) (rows of W / r)^T  *  s r^T          s, r: largest value of a row / 448

Both matrices are rounded to e4m3 (3 bits after the point); products are summed in float32. The weights are rounded when
the model is loaded, the input in every call. Rows have scales of their own, so that one large token does not make the
others coarse.

Written here, on PyTorch's `_scaled_mm`, rather than taken from torchao: its quantised weights are a tensor subclass, so
that a call takes 185 microseconds of the host (torchao 0.18, torch 2.13, one CPU), and 55 here; a pass makes 240.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from lipar_adapters.wan.quantised_linear import QuantisedLinear

LARGEST = 448.0
"""The largest number of e4m3."""
_LEAST = 1e-12  # so that a row of zeros has a scale
LEAST_CAPABILITY = (8, 9)
"""Compute capability of the first GPUs with matrix products of 8-bit floating point (Ada)."""


def check_fp8(device: torch.device, dtype: torch.dtype) -> None:
    """Refuse a device or a type without matrix products of fp8 whose rows have scales.

    Args:
        device: where the model will run.
        dtype: type of its other weights.

    Raises:
        ValueError: says what is there and what is needed.
    """
    advice = "leave adapter.quantise at 'none'"
    needed = "an NVIDIA GPU of compute capability 8.9 or later (Ada, Hopper, Blackwell)"
    if device.type != "cuda" or torch.version.cuda is None:
        raise ValueError(f"quantise='fp8' needs {needed}, and the device is {device.type}; {advice}")
    capability = torch.cuda.get_device_capability(device)
    if capability < LEAST_CAPABILITY:
        name = torch.cuda.get_device_name(device)
        raise ValueError(
            f"quantise='fp8' needs {needed}; this {name} has {capability[0]}.{capability[1]}; {advice}"
        )
    if dtype != torch.bfloat16:
        raise ValueError(
            f"quantise='fp8' computes in bfloat16 outside of the linear layers, got "
            f"{str(dtype).removeprefix('torch.')}; set --dtype bfloat16, or {advice}"
        )


def quantise_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Rows in e4m3, and the scale of each, so that `x` is about their product.

    Args:
        x: `rows columns`.

    Returns:
        `rows columns` in e4m3, and `rows 1` in float32.
    """
    largest = torch.linalg.vector_norm(x, math.inf, dim=-1, keepdim=True, dtype=torch.float32)
    scale = largest.clamp(min=_LEAST) / LARGEST
    # no clamping: the largest quotient is 448 up to its last bit, and rounds to 448
    # the matrix product takes rows that lie one after the other, however those of `x` lie
    return (x / scale).to(torch.float8_e4m3fn, memory_format=torch.contiguous_format), scale


class Fp8Linear(QuantisedLinear):
    """A linear layer whose weights are in e4m3, with a scale for each output channel; input and output are bfloat16.

    Args:
        linear: the layer that it replaces, with sizes that are multiples of 16.

    Raises:
        ValueError: other sizes, which the matrix product of fp8 cannot take.
    """

    def __init__(self, linear: nn.Linear) -> None:
        if linear.in_features % 16 or linear.out_features % 16:
            raise ValueError(
                f"fp8 takes layers whose sizes are multiples of 16, got {linear.in_features} to {linear.out_features}"
            )
        rows, scale = quantise_rows(linear.weight.detach())
        super().__init__(linear, rows, scale.reshape(1, -1))

    def forward(self, x: Tensor) -> Tensor:
        """The product with the weights; `x` has any number of leading axes."""
        quantise = quantise_rows if torch.compiler.is_compiling() or not x.is_cuda else _fused()
        rows, scale = quantise(x.flatten(0, -2))
        product = torch._scaled_mm(
            rows,
            self.rows.t(),  # the kernel takes its second matrix column by column, as the weights lie
            scale_a=scale,
            scale_b=self.scale,
            bias=self.bias,
            out_dtype=x.dtype,
            use_fast_accum=True,
        )
        return product.unflatten(0, x.shape[:-1])


@functools.cache
def _fused() -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """`quantise_rows` as one kernel; its operations one by one would cost more than fp8 saves."""
    from torch.utils._triton import has_triton

    return torch.compile(quantise_rows, dynamic=True) if has_triton() else quantise_rows
