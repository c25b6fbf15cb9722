"""Pruning inside a stock `WanTransformer3DModel` of diffusers: five hooks and a self-attention processor, no fork.

    root input      the layout is checked; per-token timesteps (Wan 2.2 TI2V) lose the pruned rows
    rope output     gives a door's hold the rotation of the block's places
    patch_embedding all tokens become kept tokens (before the layers, so that layers may be compiled or cached)
    attn1           attention over the context that `lipar` holds
    proj_out        kept tokens go back to their places; pruned ones are zeros, or what a hold restores
    root output     a hold's forward ends, also when it failed

They are torch's own hooks: diffusers' `HookRegistry` and accelerate wrap `forward` inside of them, so either kind
can come and go in any order.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from diffusers.models.attention_dispatch import dispatch_attention_fn
from einops import rearrange
from torch import Tensor, nn

from lipar.hold import Hold, NoisyTokens
from lipar.layout import TokenLayout
from lipar.protocols import BlockAttention
from lipar.rope import RotaryEmbedding


class _StockBackend:
    """The attention backend and parallel plan of the processor that ours stands for, also when they are set anew."""

    stock: Any

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


class ContextSelfAttention(_StockBackend):
    """Attention processor for `attn1`: projections as in diffusers' `WanAttnProcessor`, attention by `lipar`."""

    def __init__(self, seam: "WanSeam", layer_idx: int, stock: Any) -> None:
        self.stock = stock
        self.seam = seam
        self._layer_idx = layer_idx

    def __call__(
        self,
        attn: Any,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor | None = None,
        attention_mask: Tensor | None = None,
        rotary_emb: tuple[Tensor, Tensor] | None = None,
    ) -> Tensor:
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
        # the fourth argument is the mask, which a recovery's bias comes as; a backend that takes none refuses it
        kernel = partial(
            dispatch_attention_fn,
            dropout_p=0.0,
            is_causal=False,
            backend=self._attention_backend,
            parallel_config=None,
        )
        return self.seam.attention.attend(self._layer_idx, q, k, v, kernel)


class MemoisedTextAttention(_StockBackend):
    """Attention processor for `attn2` that projects the keys and values of one prompt once."""

    def __init__(self, seam: "WanSeam", stock: Any) -> None:
        self.stock = stock
        self.seam = seam
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


class WanSeam:
    """lipar's hold on one transformer. Without an attention at hand the transformer computes what it always did.

    Args:
        transformer: a `diffusers.WanTransformer3DModel`.
        memoise_text: keep the projections of the last prompt; for models that lipar drives itself.
        hold: prune every forward by it (`lipar.enable`); None: only those inside `using`.

    Raises:
        TypeError: not a Wan transformer, or one whose self-attention was replaced.
        ValueError: it already has a seam.
    """

    def __init__(self, transformer: Any, *, memoise_text: bool = False, hold: Hold | None = None) -> None:
        _check_stock(transformer)
        self.transformer = transformer
        self.hold = hold
        self.layout: TokenLayout | None = None
        self.attention: BlockAttention | None = None
        self._noisy: NoisyTokens | None = None
        self.prompts_seen = 0
        """Counts the prompts, so that projections of an older one are known to be old."""
        self._prompt: tuple[Tensor, int] | None = None
        self._projected_for = -1
        """The prompt that every layer has projected."""
        self._handles = [
            transformer.register_forward_pre_hook(self._begin, with_kwargs=True),
            transformer.rope.register_forward_hook(self._see_rotation),
            transformer.patch_embedding.register_forward_hook(self._prune_tokens),
            transformer.proj_out.register_forward_hook(self._restore_tokens),
            transformer.register_forward_hook(self._end, always_call=True),
        ]
        for layer_idx, block in enumerate(transformer.blocks):
            block.attn1.set_processor(ContextSelfAttention(self, layer_idx, block.attn1.processor))
            if memoise_text and block.attn2.add_k_proj is None and _is_stock(block.attn2.processor):
                block.attn2.set_processor(MemoisedTextAttention(self, block.attn2.processor))
        self._reads_text_once = all(
            isinstance(block.attn2.processor, MemoisedTextAttention) for block in transformer.blocks
        )

    def remove(self) -> None:
        """Take every hook and processor off again; does nothing the second time."""
        for handle in self._handles:
            handle.remove()
        for block in self.transformer.blocks:
            for attn in (block.attn1, block.attn2):
                ours = isinstance(attn.processor, ContextSelfAttention | MemoisedTextAttention)
                if ours and attn.processor.seam is self:
                    attn.set_processor(attn.processor.stock)
        self.forget_prompt()

    @contextmanager
    def using(self, attention: BlockAttention) -> Iterator[None]:
        """Prune by `attention.layout` and attend through it, for the forwards inside."""
        self.layout, self.attention = attention.layout, attention
        try:
            yield
        finally:
            self.layout = self.attention = None

    def forget_prompt(self) -> None:
        """Project the next prompt anew, though it be the same: weights may have changed."""
        self._prompt = None

    def _begin(self, module: nn.Module, args: Any, kwargs: Any) -> Any:
        hidden_states = _argument(args, kwargs, 0, "hidden_states")
        patches = self.transformer.config.patch_size
        frames, rows, cols = (
            size // patch for size, patch in zip(hidden_states.shape[2:], patches, strict=True)
        )
        timestep = _argument(args, kwargs, 1, "timestep")
        held = self.hold if self.attention is None else None
        if held is not None:
            self._refuse_what_cannot_be_held(held)
            self.layout = held.begin((frames, rows, cols), hidden_states.device, timestep)
        if self.layout is None:
            return None
        _check_grid(self.layout, (frames, rows, cols))
        prompt_embeds = _argument(args, kwargs, 2, "encoder_hidden_states")
        self._note_prompt(prompt_embeds)
        if self._reads_text_once and self._projected_for == self.prompts_seen:
            # no layer looks at the text again, so one row is embedded for its type and the rest is saved
            args, kwargs = _replace(args, kwargs, 2, "encoder_hidden_states", prompt_embeds[:, :1])
        if timestep.ndim == 2 and timestep.shape[1] != self.layout.token_count:
            raise ValueError(
                f"timesteps per token come as b, {self.layout.token_count} for this layout, "
                f"got {list(timestep.shape)}"
            )
        if held is not None:
            # the image may come on channels behind those that are denoised
            noisy = hidden_states[:, : self.transformer.config.out_channels]
            self._noisy = held.noisy_tokens(_output_tokens(noisy, patches), timestep)
        if timestep.ndim == 2:
            args, kwargs = _replace(args, kwargs, 1, "timestep", self.layout.prune(timestep))
        return args, kwargs

    def _refuse_what_cannot_be_held(self, held: Hold) -> None:
        transformer = self.transformer
        if torch.is_grad_enabled() and transformer.gradient_checkpointing:
            raise RuntimeError(
                "lipar prunes inference, and gradient checkpointing runs layers again during training; "
                "call the transformer under torch.no_grad(), or lipar.disable(transformer) first"
            )
        if getattr(transformer, "_parallel_config", None) is not None:
            raise RuntimeError(
                "lipar cannot prune a transformer under context parallelism yet; lipar.disable it first"
            )
        cache = _cache_over_steps(transformer)
        if cache is not None and held.changes_between_steps:
            raise RuntimeError(
                f"{cache} keeps what tokens were between steps, and self_redundancy changes which tokens there are; "
                "give lipar.enable a source, or disable the cache"
            )

    def _note_prompt(self, prompt_embeds: Tensor) -> None:
        # inference tensors carry no version: a change in place could not be seen, so each forward counts anew
        version = -1 if prompt_embeds.is_inference() else prompt_embeds._version
        if (
            version < 0
            or self._prompt is None
            or self._prompt[0] is not prompt_embeds
            or self._prompt[1] != version
        ):
            self._prompt = (prompt_embeds, version)
            self.prompts_seen += 1

    def _see_rotation(self, module: nn.Module, args: Any, output: tuple[Tensor, Tensor]) -> None:
        if self.hold is None or self.layout is None or self.attention is not None:
            return
        cos, sin = output
        config = self.transformer.config
        # diffusers repeats every angle for both members of its pair
        rotation = (cos[0, :, 0, 0::2], sin[0, :, 0, 1::2])
        rope = RotaryEmbedding(config.attention_head_dim)
        self.attention = self.hold.attention(self.layout, rotation, rope, config.num_layers)

    def _prune_tokens(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self.layout is None:
            return None
        kept = self.layout.prune(output.flatten(2).transpose(1, 2).contiguous())
        # what comes next flattens frames, rows and columns: to it the kept tokens are one long row
        return kept.transpose(1, 2)[:, :, None, None]

    def _restore_tokens(self, module: nn.Module, args: Any, output: Tensor) -> Tensor | None:
        if self.layout is None:
            return None
        if self.hold is None:
            return self.layout.scatter(output)
        assert self._noisy is not None
        return self.hold.restore(self.layout, output, self._noisy)

    def _end(self, module: nn.Module, args: Any, output: Any) -> None:
        # without output the forward failed, perhaps before every layer had projected the prompt
        if self.layout is not None and output is not None:
            self._projected_for = self.prompts_seen
        if self.hold is not None:
            self.layout = self.attention = self._noisy = None


def _cache_over_steps(transformer: Any) -> str | None:
    """The name of what reuses the results of earlier steps in a transformer, if anything does."""
    if getattr(transformer, "is_cache_enabled", False):
        return type(transformer._cache_config).__name__
    return "cache-dit" if getattr(transformer, "_is_cached", False) else None


def _output_tokens(latents: Tensor, patches: Sequence[int]) -> Tensor:
    """Latents `b c t h w` as tokens, features in the order that `proj_out` has them."""
    frames, rows, cols = patches
    return rearrange(latents, "b c (t f) (h p) (w q) -> b (t h w) (f p q c)", f=frames, p=rows, q=cols)


def seam_of(transformer: Any) -> WanSeam | None:
    """The seam on a transformer, if there is one."""
    processor = transformer.blocks[0].attn1.processor
    return processor.seam if isinstance(processor, ContextSelfAttention) else None


def _check_stock(transformer: Any) -> None:
    if hasattr(transformer, "_orig_mod") or getattr(transformer, "_compiled_call_impl", None) is not None:
        raise TypeError(
            "this transformer was compiled as a whole, and lipar changes which tokens its layers see; compile "
            "its blocks instead: transformer.compile_repeated_blocks()"
        )
    needed = ("rope", "patch_embedding", "blocks", "proj_out")
    missing = [name for name in needed if not hasattr(transformer, name)]
    if missing:
        raise TypeError(
            f"expected a WanTransformer3DModel, got {type(transformer).__name__} without {missing[0]}"
        )
    if seam_of(transformer) is not None:
        raise ValueError("this transformer is already pruned by lipar; one model can hold it at a time")
    for layer_idx, block in enumerate(transformer.blocks):
        if not _is_stock(block.attn1.processor):
            raise TypeError(
                f"self-attention of layer {layer_idx} has the processor {type(block.attn1.processor).__name__}; lipar "
                "can only stand in for diffusers' WanAttnProcessor: set that first"
            )


def _is_stock(processor: Any) -> bool:
    return type(processor).__name__ == "WanAttnProcessor"


def _argument(args: Any, kwargs: Any, index: int, name: str) -> Any:
    return kwargs[name] if name in kwargs else args[index]


def _replace(args: Any, kwargs: Any, index: int, name: str, value: Tensor) -> tuple[Any, Any]:
    if name in kwargs:
        return args, {**kwargs, name: value}
    return (*args[:index], value, *args[index + 1 :]), kwargs


def _check_grid(layout: TokenLayout, grid: tuple[int, int, int]) -> None:
    if layout.grid != grid:
        wanted, came = ("x".join(map(str, sizes)) for sizes in (layout.grid, grid))
        count = grid[0] * grid[1] * grid[2]
        raise ValueError(
            f"the layout is for {wanted} = {layout.token_count} tokens, but these latents make {came} = {count}"
        )


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
