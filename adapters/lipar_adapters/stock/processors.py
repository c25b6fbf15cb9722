"""Attention processors that replace diffusers' own in a transformer while a seam is on it.

All layers share one processor of each kind: a compiled layer is valid for every other layer only if nothing that it
reads differs between them. Which layer is attending is known from its `attn` module where the code runs eagerly, and
from the order of the layers in a compiled one (`lipar_adapters.stock.attention_ops`).
"""

from functools import partial
from typing import Any

import torch
from diffusers.models.attention_dispatch import (
    AttentionBackendName,
    _AttentionBackendRegistry,
    dispatch_attention_fn,
)
from torch import Tensor, nn

from lipar.attention.block import BlockContext
from lipar.attention.waves import attend_in_waves
from lipar.protocols import AttentionKernel, BlockAttention
from lipar_adapters.stock import attention_ops  # noqa: F401  # registers the operators
from lipar_adapters.stock.context_parallel import HeadExchange


class SeamState:
    """What the processors of a seam know about the current forward."""

    attention: BlockAttention | None = None
    """Attention over kept tokens; None: the stock processors compute everything."""


class StandInProcessor:
    """Replaces the stock processors of several layers, and shares their attention backend and parallel plan.

    Args:
        seam: state of the seam.
    """

    def __init__(self, seam: SeamState) -> None:
        self.seam = seam
        self.stocks: dict[nn.Module, Any] = {}
        """The processor that was replaced, of each `attn` module."""
        self.stock: Any = None
        """One of them; they are equal, and keep no state."""
        self.layer_of: dict[nn.Module, int] = {}

    def replace(self, attn: Any, layer_idx: int, stock: Any) -> None:
        """Replace the processor of one layer.

        Args:
            attn: the layer's attention module.
            layer_idx: index of the layer.
            stock: the processor that is replaced, equal to those replaced before.
        """
        self.stocks[attn], self.layer_of[attn] = stock, layer_idx
        self.stock = self.stock or stock
        attn.set_processor(self)

    def fits(self, stock: Any) -> bool:
        """Whether this stock processor may be replaced by the same object as those before."""
        settings = ("_attention_backend", "_parallel_config")
        return all(getattr(self.stock, name) == getattr(stock, name) for name in settings)

    @property
    def _attention_backend(self) -> Any:
        return self.stock._attention_backend

    @_attention_backend.setter
    def _attention_backend(self, backend: Any) -> None:
        for stock in self.stocks.values():
            stock._attention_backend = backend

    @property
    def _parallel_config(self) -> Any:
        return self.stock._parallel_config

    @_parallel_config.setter
    def _parallel_config(self, parallel_config: Any) -> None:
        for stock in self.stocks.values():
            stock._parallel_config = parallel_config

    def kernel(self) -> AttentionKernel:
        """Diffusers' attention by the chosen backend; a recovery's bias is the fourth argument, the mask."""
        return partial(
            dispatch_attention_fn,
            dropout_p=0.0,
            is_causal=False,
            backend=self._attention_backend,
            parallel_config=None,
        )


class ContextSelfAttention(StandInProcessor):
    """Self-attention whose projections are those of the stock processor, and whose attention is `lipar`'s."""

    def project(self, attn: Any, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Un-rotated queries, keys and values of the kept tokens, `b n heads head_dim`, bit-equal to the stock ones.

        These are those of diffusers' `WanAttnProcessor`; another family has its own.

        Args:
            attn: the attention module.
            hidden_states: kept tokens, `b n d`.
        """
        if getattr(attn, "fused_projections", False):
            q, k, v = attn.to_qkv(hidden_states).chunk(3, dim=-1)
        else:
            q, k, v = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        q, k = attn.norm_q(q), attn.norm_k(k)
        q, k, v = (states.unflatten(2, (attn.heads, -1)) for states in (q, k, v))
        return q, k, v

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Self-attention of one layer over the kept tokens, `b n d`; the arguments are those of diffusers."""
        if self.seam.attention is None:
            stocked: Tensor = self.stock(
                attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb
            )
            return stocked
        q, k, v = self.project(attn, hidden_states)
        if torch.compiler.is_compiling() and not torch.is_grad_enabled():
            attended = torch.ops.lipar.self_attention(q, k, v)
        else:
            # not by the operator: it has no backward, and a forward that keeps everything may be trained through
            attended = self.attend(self.layer_of[attn], q, k, v)
        projected: Tensor = attn.to_out[1](attn.to_out[0](attended.flatten(2, 3).type_as(q)))
        return projected

    @torch.compiler.disable
    def attend(self, layer_idx: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Self-attention of a layer, `b n heads head_dim`."""
        attention = self.seam.attention
        assert attention is not None
        # split over keys only where the fast engines run blocks: there results are not promised to be bit-equal
        split = isinstance(attention, BlockContext) and attention.splits and self._is_native
        kernel = partial(_in_waves, self.kernel()) if split else self.kernel()
        exchange = HeadExchange.of(self._parallel_config)
        if exchange is None:
            return attention.attend(layer_idx, q, k, v, kernel)
        kept = attention.layout.kept_count
        q, k, v = (exchange.to_heads(states, kept) for states in (q, k, v))
        return exchange.to_tokens(attention.attend(layer_idx, q, k, v, kernel), kept)

    @property
    def _is_native(self) -> bool:
        """Whether attention is PyTorch's own."""
        chosen = self._attention_backend or _AttentionBackendRegistry.get_active_backend()[0]
        return chosen == AttentionBackendName.NATIVE


def _in_waves(kernel: AttentionKernel, q: Tensor, k: Tensor, v: Tensor, *bias: Tensor) -> Tensor:
    attended = None if bias else attend_in_waves(q, k, v)
    return kernel(q, k, v, *bias) if attended is None else attended


def stock_of(attn: Any) -> Any:
    """The processor of an attention module that lipar's replaces; any other is returned as it is."""
    processor = attn.processor
    return (
        processor.stocks.get(attn, processor.stock) if isinstance(processor, StandInProcessor) else processor
    )


def restore_processors(transformer: Any) -> None:
    """Put back the stock processors, also where lipar's came back later with a saved dict of processors."""
    for attn in transformer.modules():
        if isinstance(getattr(attn, "processor", None), StandInProcessor):
            attn.set_processor(stock_of(attn))
