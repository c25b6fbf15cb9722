"""Linear layers with weights of 8 bits and a scale for each output channel: what `fp8` and `int8` have in common."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn

Quantise = Literal["none", "fp8", "int8"]
"""Values of the option `quantise` of adapters."""
LINEAR_LAYERS = (
    *("attn1.to_q", "attn1.to_k", "attn1.to_v", "attn1.to_out.0"),
    *(
        "attn2.to_q",
        "attn2.to_out.0",
    ),  # the prompt's keys and values are projected once, so they gain nothing
    *("ffn.net.0.proj", "ffn.net.2"),
)
"""The layers of a transformer block that are quantised; embeddings, norms and the head are not."""


class QuantisedLinear(nn.Module):
    """The weights of a linear layer in 8 bits.

    Args:
        linear: the layer that it replaces.
        rows: its weights, rounded, `out in`.
        scale: of each row, `out 1` or `1 out`, in float32.
    """

    rows: Tensor
    """The weights, `out in`. Not named `weight`: whoever reads that would take them without their scales."""
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, rows: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("rows", rows)
        self.register_buffer("scale", scale)
        bias: Tensor | None = linear.bias  # typed as always there
        self.register_buffer("bias", None if bias is None else bias.detach())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "QuantisedLinear":
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


def check_quantise(quantise: Quantise, device: torch.device, dtype: torch.dtype) -> None:
    """Refuse a device or a type that cannot compute with such layers, before weights are read.

    Args:
        quantise: the option of an adapter.
        device: where the model will run.
        dtype: type of its other weights.

    Raises:
        ValueError: says what is there and what is needed.
    """
    if quantise == "fp8":
        from lipar_adapters.wan import fp8

        fp8.check_fp8(device, dtype)


def quantise_layers(transformer: Any, quantise: Quantise) -> None:
    """Replace the linear layers of a Wan transformer's blocks, in place; nothing for `none`.

    Args:
        transformer: a diffusers `WanTransformer3DModel` with its weights.
        quantise: the option of an adapter.

    Raises:
        ValueError: a layer has sizes that fp8 cannot take.
    """
    if quantise == "none":
        return
    kind: Callable[[nn.Linear], QuantisedLinear]
    if quantise == "fp8":
        from lipar_adapters.wan.fp8 import Fp8Linear as kind
    else:
        from lipar_adapters.wan.int8 import Int8Linear as kind
    for block in transformer.blocks:
        for name in LINEAR_LAYERS:
            block.set_submodule(name, kind(block.get_submodule(name)))
