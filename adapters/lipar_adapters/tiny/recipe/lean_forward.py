"""Training passes over stock weights: teacher forced for the causal model, whole clips for the bidirectional one.

Self-Forcing models (arXiv 2506.08009) see a cache of clean keys and values and one noisy block at a time.
Training sees all blocks of a clip at once: block i's noisy tokens attend [clean context | own noisy block], its
clean tokens (timestep 0) attend [clean context | own clean block]. The context is [sink | window] with positions
counted in the context, as a rolling cache has them. No masks: one fused attention per block, for the clean and the
noisy stream together.

Both read the weights of a stock `diffusers.WanTransformer3DModel` and equal its forward (diffusers 0.42.1,
`models/transformers/transformer_wan.py`): the causal one for one block without context, the bidirectional one always.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.tiny.recipe.wan_layer import (
    attend,
    embed,
    embed_timesteps,
    layer_weights,
    project,
    rope_table,
    rotate,
    wan_layer,
)

BLOCK_FRAMES = 3


@dataclass(frozen=True)
class Window:
    """Which frames a block sees before itself: the first ones, and the last of a window that counts its own."""

    sink_frames: int = 1
    window_frames: int | None = 6

    def context(self, block: int) -> list[int]:
        """Frames before the block, in order; all of them where the window has no end."""
        first = block * BLOCK_FRAMES
        if self.window_frames is None:
            return list(range(first))
        recent = range(max(0, first + BLOCK_FRAMES - self.window_frames), first)
        return sorted({*range(min(self.sink_frames, first)), *recent})


def layer_forward(
    weights: dict[str, Tensor],
    tokens: Float[Tensor, "b 2 blocks m d"],
    modulation: Float[Tensor, "b 2 blocks 6 d"],
    text: Float[Tensor, "b words d"],
    table: Float[Tensor, "2 frames n half"],
    contexts: list[list[int]],
    heads: int,
) -> Float[Tensor, "b 2 blocks m d"]:
    """One layer over both streams; stream 0 is clean, stream 1 noisy."""
    batch, streams, blocks, size, width = tokens.shape

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        clean_k, clean_v = (
            x[:, 0].reshape(batch, blocks * BLOCK_FRAMES, -1, heads, width // heads) for x in (k, v)
        )
        mixed = []
        for block, frames in enumerate(contexts):
            own_k, own_v = k[:, :, block], v[:, :, block]
            seen_k, seen_v = own_k, own_v
            if frames:
                # Frames of a context are the sink and one run: slices, no gathers.
                parts = (
                    [slice(frames[0], frames[0] + 1), slice(frames[1], frames[-1] + 1)]
                    if len(frames) > 1
                    else [slice(0, 1)]
                )
                past = [
                    torch.cat([x[:, part] for part in parts], 1)
                    .flatten(1, 2)[:, None]
                    .expand(-1, streams, -1, -1, -1)
                    for x in (clean_k, clean_v)
                ]
                seen_k, seen_v = torch.cat([past[0], own_k], 2), torch.cat([past[1], own_v], 2)
            places = table[:, : len(frames) + BLOCK_FRAMES].flatten(1, 2)
            q_rotated = rotate(q[:, :, block], places[:, -size:])
            out = attend(q_rotated.flatten(0, 1), rotate(seen_k, places).flatten(0, 1), seen_v.flatten(0, 1))
            mixed.append(out.reshape(batch, streams, size, width))
        return torch.stack(mixed, 2)

    return wan_layer(weights, tokens, modulation, text, heads, mix)


def bidirectional_layer(
    weights: dict[str, Tensor],
    tokens: Float[Tensor, "b t n d"],
    modulation: Float[Tensor, "b t 6 d"],
    text: Float[Tensor, "b words d"],
    table: Float[Tensor, "2 t n half"],
    heads: int,
) -> Float[Tensor, "b t n d"]:
    """One layer over a whole clip: every token attends all, and each frame has its own timestep."""
    places = table.flatten(1, 2)

    def mix(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        q, k, v = (x.flatten(1, 2) for x in (q, k, v))
        return attend(rotate(q, places), rotate(k, places), v).reshape(tokens.shape)

    return wan_layer(weights, tokens, modulation, text, heads, mix)


def teacher_forced_flow(
    transformer: Any,
    clean: Float[Tensor, "b t c h w"],
    noisy: Float[Tensor, "b t c h w"],
    sigma: Float[Tensor, "b blocks"],
    text: Float[Tensor, "b words text_dim"],
    window: Window,
    layer: Callable[..., Tensor] = layer_forward,
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "b t c h w"]:
    """Flow (noise minus data) predicted for the noisy blocks of a clip, each given the clean frames before it.

    Args:
        transformer: a stock Wan transformer.
        clean: latents of the clip, whole blocks of `BLOCK_FRAMES`.
        noisy: the same at the blocks' noise levels.
        sigma: noise level of each block, 1 is pure noise; the timestep is 1000 times that.
        text: rows of the prompt.
        window: which clean frames a block is given.
        layer: `layer_forward` or a compiled version of it.
        dtype: type of the tokens and of copies of the layers' weights; norms compute their statistics in float32.
    """
    config = transformer.config
    heads, head_dim = config.num_attention_heads, config.attention_head_dim
    (_, frames, _, height, width), device = clean.shape, clean.device
    blocks, rows, columns = frames // BLOCK_FRAMES, height // 2, width // 2
    contexts = [window.context(block) for block in range(blocks)]
    table = rope_table(max(map(len, contexts)) + BLOCK_FRAMES, rows, columns, head_dim, device)

    patches = rearrange(
        torch.stack([clean, noisy], 1),
        "b s (i f) c (h p) (w q) -> b s i (f h w) (c p q)",
        f=BLOCK_FRAMES,
        p=2,
        q=2,
    )
    tokens = embed(transformer, patches, dtype)
    temb, modulation = embed_timesteps(transformer, torch.stack([torch.zeros_like(sigma), sigma * 1000.0], 1))
    words = transformer.condition_embedder.text_embedder(text).to(dtype)
    for block in transformer.blocks:
        tokens = layer(layer_weights(block, dtype), tokens, modulation, words, table, contexts, heads)
    flow = project(transformer, tokens[:, 1], temb[:, 1])
    return rearrange(flow, "b i (f h w) (p q c) -> b (i f) c (h p) (w q)", h=rows, w=columns, p=2, q=2)


def bidirectional_flow(
    transformer: Any,
    noisy: Float[Tensor, "b t c h w"],
    timesteps: Float[Tensor, "b t"],
    text: Float[Tensor, "b words text_dim"],
    dtype: torch.dtype = torch.float32,
) -> Float[Tensor, "b t c h w"]:
    """Flow (noise minus data) predicted for a whole clip, as the stock forward does with one timestep per token.

    Args:
        transformer: a stock Wan transformer.
        noisy: latents of the clip at the noise levels of its frames.
        timesteps: of each latent frame, 0 to 1000; 0 is a clean frame, as the first one of image-to-video.
        text: rows of the prompt.
        dtype: as in `teacher_forced_flow`.
    """
    config = transformer.config
    heads, head_dim = config.num_attention_heads, config.attention_head_dim
    rows, columns = noisy.shape[-2] // 2, noisy.shape[-1] // 2
    table = rope_table(noisy.shape[1], rows, columns, head_dim, noisy.device)
    tokens = embed(transformer, rearrange(noisy, "b t c (h p) (w q) -> b t (h w) (c p q)", p=2, q=2), dtype)
    temb, modulation = embed_timesteps(transformer, timesteps)
    words = transformer.condition_embedder.text_embedder(text).to(dtype)
    for block in transformer.blocks:
        tokens = bidirectional_layer(layer_weights(block, dtype), tokens, modulation, words, table, heads)
    flow = project(transformer, tokens, temb)
    return rearrange(flow, "b t (h w) (p q c) -> b t c (h p) (w q)", h=rows, p=2, q=2)
