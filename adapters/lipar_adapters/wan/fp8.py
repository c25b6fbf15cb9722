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
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 448.0
"""The largest number of e4m3."""
_LEAST = 1e-12  # so that a row of zeros has a scale
LINEAR_LAYERS = (
    *("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0"),
    *(
        "attn2.to_q",
        "attn2.to_out.0",
    ),  # the prompt's keys and values are projected once, so they gain nothing
    *("ffn.net.0.proj", "ffn.net.2"),
)
"""The layers of a transformer block that are quantised; embeddings, norms and the head are not."""
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


class Fp8Linear(nn.Module):
    """A linear layer whose weights are in e4m3, with a scale for each output channel; input and output are bfloat16.

    Args:
        linear: the layer that it replaces, with sizes that are multiples of 16.

    Raises:
        ValueError: other sizes, which the matrix product of fp8 cannot take.
    """

    rows: Tensor
    """The weights, `out in` in e4m3. Not named `weight`: whoever reads that would take them without their scales."""
    scale: Tensor
    """`1 out`, in float32."""
    bias: Tensor | None

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        if self.in_features % 16 or self.out_features % 16:
            raise ValueError(
                f"fp8 takes layers whose sizes are multiples of 16, got {self.in_features} to {self.out_features}"
            )
        rows, scale = quantise_rows(linear.weight.detach())
        self.register_buffer("rows", rows)
        self.register_buffer("scale", scale.reshape(1, -1))
        bias: Tensor | None = linear.bias  # typed as always there
        self.register_buffer("bias", None if bias is None else bias.detach())

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

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "Fp8Linear":
        # `model.to(dtype)` is for numbers that mean the same in another type; these only follow it to its device
        def moved(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            return result if result.dtype == tensor.dtype else tensor.to(result.device)

        super()._apply(moved, recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        """The sizes, as those of `nn.Linear` are printed."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )


@functools.cache
def _fused() -> Callable[[Tensor], tuple[Tensor, Tensor]]:
    """`quantise_rows` as one kernel; its operations one by one would cost more than fp8 saves."""
    from torch.utils._triton import has_triton

    return torch.compile(quantise_rows, dynamic=True) if has_triton() else quantise_rows


def quantise_transformer(transformer: Any) -> None:
    """Replace the linear layers of a Wan transformer's blocks by `Fp8Linear`, in place.

    Args:
        transformer: a diffusers `WanTransformer3DModel` with its weights.

    Raises:
        ValueError: a layer has sizes that fp8 cannot take.
    """
    for block in transformer.blocks:
        for name in LINEAR_LAYERS:
            block.set_submodule(name, Fp8Linear(block.get_submodule(name)))
