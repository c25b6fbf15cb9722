"""Attention processors that replace diffusers' own in a Wan transformer while a seam is on it.

Self-attention is that of `lipar_adapters.stock.processors`.
"""

from typing import Any

import torch
from torch import Tensor

from lipar_adapters.stock.processors import SeamState, StandInProcessor


class MemoisedTextAttention(StandInProcessor):
    """Attention processor for `attn2` whose keys and values of the prompt are projected once, by `project`.

    They stay in the same memory when a prompt of the same length replaces another, so that a CUDA graph reads the new
    ones.
    """

    def __init__(self, seam: SeamState) -> None:
        super().__init__(seam)
        self.projected: dict[int, tuple[Tensor, Tensor]] = {}
        """Keys and values of each layer, `b rows heads head_dim`."""

    def project(self, encoder_hidden_states: Tensor) -> None:
        """Project the embedded prompt in every layer, `b rows d`."""
        for attn, layer_idx in self.layer_of.items():
            before = self.projected.get(layer_idx, (None, None))
            k, v = map(in_place, before, self._project(attn, encoder_hidden_states))
            self.projected[layer_idx] = k, v

    def _project(self, attn: Any, encoder_hidden_states: Tensor) -> tuple[Tensor, Tensor]:
        if getattr(attn, "fused_projections", False):
            k, v = attn.to_kv(encoder_hidden_states).chunk(2, dim=-1)
        else:
            k, v = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
        return attn.norm_k(k).unflatten(2, (attn.heads, -1)), v.unflatten(2, (attn.heads, -1))

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
            stocked: Tensor = self.stock(
                attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb
            )
            return stocked
        q = attn.norm_q(attn.to_q(hidden_states)).unflatten(2, (attn.heads, -1))
        if torch.compiler.is_compiling():
            attended = torch.ops.lipar.text_attention(q)
        else:
            attended = self.attend(self.layer_of[attn], q)
        projected: Tensor = attn.to_out[1](attn.to_out[0](attended.flatten(2, 3).type_as(q)))
        return projected

    def attend(self, layer_idx: int, q: Tensor) -> Tensor:
        """Attention of a layer to the prompt, `b n heads head_dim`."""
        return self.kernel()(q, *self.projected[layer_idx])


def in_place(stored: Tensor | None, new: Tensor) -> Tensor:
    """The values of a tensor in the memory of another, if that fits, else in new memory: CUDA graphs read it there."""
    # a tensor of the inference mode could not be overwritten outside of it
    with torch.inference_mode(False), torch.no_grad():
        fits = stored is not None and (stored.shape, stored.dtype, stored.device) == (
            new.shape, new.dtype, new.device,
        )  # fmt: skip
        memory = stored if stored is not None and fits else torch.empty_like(new)
        return memory.copy_(new)
