"""Attention processors that replace diffusers' own in a Wan transformer while a seam is on it."""

from functools import partial
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor

from lipar.protocols import BlockAttention


class SeamState:
    """What the processors of a seam know about the current forward."""

    attention: BlockAttention | None = None
    """Attention over kept tokens; None: the stock processors compute everything."""
    prompts_seen: int = 0
    """Number of prompts so far, by which projections of an earlier prompt are recognised."""


class StandInProcessor:
    """Replaces the stock processor of one layer, and shares its attention backend and parallel plan.

    Args:
        seam: state of the seam.
        layer_idx: index of the layer.
        stock: the processor that is replaced.
    """

    def __init__(self, seam: SeamState, layer_idx: int, stock: Any) -> None:
        self.seam, self.layer_idx, self.stock = seam, layer_idx, stock

    @property
    def _attention_backend(self) -> Any:
        return self.stock._attention_backend

    @_attention_backend.setter
    def _attention_backend(self, backend: Any) -> None:
        self.stock._attention_backend = backend

    @property
    def _parallel_config(self) -> Any:
        return self.stock._parallel_config

    @_parallel_config.setter
    def _parallel_config(self, parallel_config: Any) -> None:
        self.stock._parallel_config = parallel_config


class ContextSelfAttention(StandInProcessor):
    """Attention processor for `attn1`: projections as in diffusers' `WanAttnProcessor`, attention by `lipar`."""

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
            return self.stock(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        if getattr(attn, "fused_projections", False):
            q, k, v = attn.to_qkv(hidden_states).chunk(3, dim=-1)
        else:
            q, k, v = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        q, k = attn.norm_q(q), attn.norm_k(k)
        q, k, v = (states.unflatten(2, (attn.heads, -1)) for states in (q, k, v))
        attended = self._attend(q, k, v).flatten(2, 3).type_as(q)
        return attn.to_out[1](attn.to_out[0](attended))

    @torch.compiler.disable
    def _attend(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        # compiled layers stop here: the attention is another object for every block, and each layer has its index
        assert self.seam.attention is not None
        # a recovery's bias comes as the fourth argument, the mask; a backend without masks refuses it
        kernel = partial(
            dispatch_attention_fn,
            dropout_p=0.0,
            is_causal=False,
            backend=self._attention_backend,
            parallel_config=None,
        )
        return self.seam.attention.attend(self.layer_idx, q, k, v, kernel)


class MemoisedTextAttention(StandInProcessor):
    """Attention processor for `attn2` that projects the keys and values of one prompt once."""

    def __init__(self, seam: SeamState, layer_idx: int, stock: Any) -> None:
        super().__init__(seam, layer_idx, stock)
        self._projected_for = -1
        self._k: Tensor | None = None
        self._v: Tensor | None = None

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        """Cross-attention of one layer to the prompt; the arguments are those of diffusers."""
        if self.seam.attention is None:
            return self.stock(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
        if self._projected_for != self.seam.prompts_seen:
            if getattr(attn, "fused_projections", False):
                k, v = attn.to_kv(encoder_hidden_states).chunk(2, dim=-1)
            else:
                k, v = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
            self._k = attn.norm_k(k).unflatten(2, (attn.heads, -1))
            self._v = v.unflatten(2, (attn.heads, -1))
            self._projected_for = self.seam.prompts_seen
        q = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        attended = dispatch_attention_fn(
            q,
            self._k,
            self._v,
            attn_mask=None,
            dropout_p=0.0,
            is_causal=False,
            backend=self._attention_backend,
            parallel_config=None,
        )
        return attn.to_out[1](attn.to_out[0](attended.flatten(2, 3).type_as(q)))


def stock_of(processor: Any) -> Any:
    """The processor that one of lipar's replaces; any other is returned as it is."""
    while isinstance(processor, StandInProcessor):
        processor = processor.stock
    return processor


def is_stock(processor: Any) -> bool:
    """Whether it is diffusers' `WanAttnProcessor`, the only one that lipar can replace."""
    return type(processor).__name__ == "WanAttnProcessor"


def restore_processors(transformer: Any) -> None:
    """Put back the stock processors, also where lipar's came back later with a saved dict of processors."""
    for block in transformer.blocks:
        for attn in (block.attn1, block.attn2):
            stock = stock_of(attn.processor)
            if attn.processor is not stock:
                attn.set_processor(stock)
