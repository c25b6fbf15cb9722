"""The attention processor that replaces diffusers' own in the self-attention of an LTX transformer.

LTX rotates queries and keys before they are cut into heads, with angles that differ from head to head. To `lipar` they
are therefore tokens with one head as wide as the model; only the attention kernel sees the heads.
"""

from functools import partial
from typing import Any

from torch import Tensor

from lipar.protocols import AttentionKernel
from lipar_adapters.stock.processors import ContextSelfAttention


class LtxSelfAttention(ContextSelfAttention):
    """Attention processor for `attn1`: projections as in diffusers' `LTXVideoAttnProcessor`, attention by `lipar`."""

    def project(self, attn: Any, hidden_states: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Un-rotated queries, keys and values of the kept tokens, `b n 1 heads*head_dim`."""
        q, k = attn.norm_q(attn.to_q(hidden_states)), attn.norm_k(attn.to_k(hidden_states))
        q, k, v = (states.unflatten(2, (1, -1)) for states in (q, k, attn.to_v(hidden_states)))
        return q, k, v

    def kernel(self) -> AttentionKernel:
        """Diffusers' attention over heads, for tokens with a single one."""
        attn: Any = next(iter(self.layer_of))  # all layers have as many
        return partial(_over_heads, super().kernel(), attn.heads)


def _over_heads(
    kernel: AttentionKernel, heads: int, q: Tensor, k: Tensor, v: Tensor, *bias: Tensor
) -> Tensor:
    q, k, v = (states.squeeze(2).unflatten(2, (heads, -1)) for states in (q, k, v))
    return kernel(q, k, v, *bias).flatten(2).unsqueeze(2)
