"""Pruning inside a stock `WanTransformer3DModel` of diffusers: four hooks and a self-attention processor, no fork.

    root input      per-token timesteps (Wan 2.2 TI2V) lose the pruned rows
    rope output     gives the rotation of the block's places
    blocks.0 input  full tokens become kept tokens
    attn1           attention over the context that `lipar` holds
    proj_out output kept tokens are scattered back; pruned places hold zeros
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from torch import Tensor, nn

from lipar.protocols import BlockAttention


class ContextSelfAttention:
    """Attention processor for `attn1`: projections as in diffusers' `WanAttnProcessor`, attention by `lipar`."""

    def __init__(self, seam: "WanSeam", layer_idx: int, stock: Any) -> None:
        self.stock = stock
        self._seam = seam
        self._layer_idx = layer_idx
        self._attention_backend = getattr(stock, "_attention_backend", None)
        self._parallel_config = getattr(stock, "_parallel_config", None)

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
        attention = self._seam.attention
        if attention is None:
            out: Tensor = self.stock(attn, hidden_states, encoder_hidden_states, attention_mask, rotary_emb)
            return out
        if getattr(attn, "fused_projections", False):
            q, k, v = attn.to_qkv(hidden_states).chunk(3, dim=-1)
        else:
            q, k, v = attn.to_q(hidden_states), attn.to_k(hidden_states), attn.to_v(hidden_states)
        q, k = attn.norm_q(q), attn.norm_k(k)
        q, k, v = (states.unflatten(2, (attn.heads, -1)) for states in (q, k, v))
        kernel = partial(
            dispatch_attention_fn,
            attn_mask=None,
            dropout_p=0.0,
            is_causal=False,
            backend=self._attention_backend,
            parallel_config=self._parallel_config,
        )
        attended = attention.attend(self._layer_idx, q, k, v, kernel).flatten(2, 3).type_as(q)
        return attn.to_out[1](attn.to_out[0](attended))  # type: ignore[no-any-return]


class MemoisedTextAttention:
    """Attention processor for `attn2` that projects the keys and values of one prompt once."""

    def __init__(self, stock: Any) -> None:
        self.stock = stock
        self._attention_backend = getattr(stock, "_attention_backend", None)
        self._parallel_config = getattr(stock, "_parallel_config", None)
        self._seen: Tensor | None = None
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
        if self._seen is not encoder_hidden_states:
            if getattr(attn, "fused_projections", False):
                k, v = attn.to_kv(encoder_hidden_states).chunk(2, dim=-1)
            else:
                k, v = attn.to_k(encoder_hidden_states), attn.to_v(encoder_hidden_states)
            self._k = attn.norm_k(k).unflatten(2, (attn.heads, -1))
            self._v = v.unflatten(2, (attn.heads, -1))
            self._seen = encoder_hidden_states
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
        return attn.to_out[1](attn.to_out[0](attended.flatten(2, 3).type_as(q)))  # type: ignore[no-any-return]


class MemoisedTextEmbedder(nn.Module):
    """A text embedder that gives the same tensor again for the same prompt tensor."""

    def __init__(self, stock: nn.Module) -> None:
        super().__init__()
        self.stock = stock
        self._seen: tuple[Tensor, int] | None = None
        self._embedded: Tensor | None = None

    def forward(self, prompt_embeds: Tensor) -> Tensor:
        version = prompt_embeds._version
        if self._embedded is None or self._seen is None or self._seen[0] is not prompt_embeds or self._seen[1] != version:
            self._seen = (prompt_embeds, version)
            self._embedded = self.stock(prompt_embeds)
        return self._embedded


class WanSeam:
    """lipar's hold on one transformer. Without an attention at hand the transformer computes what it always did.

    Args:
        transformer: a `diffusers.WanTransformer3DModel`.
        memoise_text: keep the projections of the last prompt; for models that lipar drives itself.

    Raises:
        TypeError: not a Wan transformer.
    """

    def __init__(self, transformer: Any, *, memoise_text: bool = False) -> None:
        missing = [name for name in ("rope", "blocks", "proj_out", "condition_embedder") if not hasattr(transformer, name)]
        if missing:
            raise TypeError(f"expected a WanTransformer3DModel, got {type(transformer).__name__} without {missing[0]}")
        self.transformer = transformer
        self.attention: BlockAttention | None = None
        self.on_rotation: Callable[[Tensor, Tensor], None] | None = None
        """Told the stock rotary table of each forward, `1 places 1 head_dim` each; used by the diffusers door."""
        blocks = transformer.blocks
        self._handles = [
            transformer.register_forward_pre_hook(self._prune_timesteps, with_kwargs=True),
            transformer.rope.register_forward_hook(self._see_rotation),
            blocks[0].register_forward_pre_hook(self._prune_tokens),
            transformer.proj_out.register_forward_hook(self._scatter),
        ]
        for layer_idx, block in enumerate(blocks):
            block.attn1.set_processor(ContextSelfAttention(self, layer_idx, block.attn1.processor))
        self._memoised = memoise_text
        if memoise_text:
            embedder = transformer.condition_embedder
            embedder.text_embedder = MemoisedTextEmbedder(embedder.text_embedder)
            for block in blocks:
                if block.attn2.add_k_proj is None:
                    block.attn2.set_processor(MemoisedTextAttention(block.attn2.processor))

    def remove(self) -> None:
        """Take every hook and processor off again."""
        for handle in self._handles:
            handle.remove()
        for block in self.transformer.blocks:
            for attn, ours in ((block.attn1, ContextSelfAttention), (block.attn2, MemoisedTextAttention)):
                if isinstance(attn.processor, ours):
                    attn.set_processor(attn.processor.stock)
        if self._memoised:
            embedder = self.transformer.condition_embedder
            embedder.text_embedder = embedder.text_embedder.stock

    @contextmanager
    def using(self, attention: BlockAttention) -> Iterator[None]:
        """Prune by `attention.layout` and attend through it, for the forwards inside."""
        self.attention = attention
        try:
            yield
        finally:
            self.attention = None

    def _prune_timesteps(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        timestep = kwargs.get("timestep", args[1] if len(args) > 1 else None)
        if self.attention is None or timestep is None or timestep.ndim != 2:
            return None
        pruned = self.attention.layout.prune(timestep)
        if "timestep" in kwargs:
            return args, {**kwargs, "timestep": pruned}
        return (args[0], pruned, *args[2:]), kwargs

    def _see_rotation(self, module: nn.Module, args: Any, output: tuple[Tensor, Tensor]) -> None:
        if self.on_rotation is not None:
            self.on_rotation(*output)

    def _prune_tokens(self, module: nn.Module, args: Any) -> Any:
        if self.attention is None:
            return None
        hidden_states = args[0]
        expected = self.attention.layout.token_count
        if hidden_states.shape[1] != expected:
            raise ValueError(
                f"the layout is for {expected} tokens {self.attention.layout.grid}, the model got {hidden_states.shape[1]}"
            )
        return (self.attention.layout.prune(hidden_states), *args[1:])

    def _scatter(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self.attention is None:
            return None
        return self.attention.layout.scatter(output)


class Float64Timesteps(nn.Module):
    """The sinusoid of a timestep in float64, as the original Wan code computes it (`sinusoidal_embedding_1d`).

    diffusers takes it in float32, which alone makes 2e-5 of the output's standard deviation.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels

    def forward(self, timesteps: Tensor) -> Tensor:
        half = self.channels // 2
        exponent = torch.arange(half, dtype=torch.float64, device=timesteps.device) / half
        angle = torch.outer(timesteps.to(torch.float64), torch.pow(10000.0, -exponent))
        return torch.cat([angle.cos(), angle.sin()], dim=1).float()
