"""The option `quantise` of adapters: which layers of a Wan transformer are replaced, and by which."""

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import nn

from lipar_adapters.wan.quantised_linear import QuantisedLinear

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
