"""Attention as an operator of PyTorch, so that `torch.compile` compiles a layer as one graph around it.

What attention does depends on the block (its layout, its rows in the KV cache), and a compiler that looked inside would
compile every block again. An operator is opaque to it: it knows the shapes that go in and come out, and nothing else.
Operators take tensors and numbers only, so what they call is noted when a forward begins, for its thread.
"""

import threading
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor


@runtime_checkable
class Layers(Protocol):
    """Attention of a forward's layers, which ask in their order."""

    def attend_next(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Self-attention of the layer after the last one, `b n heads head_dim`."""
        ...

    def attend_text(self, q: Tensor) -> Tensor:
        """Attention to the prompt of the layer whose self-attention was last."""
        ...


class _Running(threading.local):
    layers: Layers | None = None


_running = _Running()


def run_layers(layers: Layers | None) -> None:
    """Let the operators ask these layers in this thread from now on; None: a forward has ended."""
    _running.layers = layers


@torch.library.custom_op("lipar::self_attention", mutates_args=())
def self_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Self-attention of one layer, `b n heads head_dim`; it also writes the layer's rows of the KV cache."""
    assert _running.layers is not None
    return _running.layers.attend_next(q, k, v).contiguous()


@self_attention.register_fake
def _(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return torch.empty_like(q, memory_format=torch.contiguous_format)


@torch.library.custom_op("lipar::text_attention", mutates_args=())
def text_attention(q: Tensor) -> Tensor:
    """Attention of one layer to the prompt, whose keys and values were projected before, `b n heads head_dim`."""
    assert _running.layers is not None
    return _running.layers.attend_text(q).contiguous()


@text_attention.register_fake
def _(q: Tensor) -> Tensor:
    return torch.empty_like(q, memory_format=torch.contiguous_format)
