"""A layer of a stock `WanTransformer3DModel` as plain functions of its weights, with what precedes and follows layers.

It equals the forward of diffusers 0.42.1 (`models/transformers/transformer_wan.py`); self-attention is an argument.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def rope_table(
    frames: int, rows: int, columns: int, head_dim: int, device: torch.device | str
) -> Float[Tensor, "2 frames n half"]:
    """Cosines and sines per frame and place, split over t, h, w as diffusers' WanRotaryPosEmbed does."""
    side = 2 * (head_dim // 6)

    def angles(size: int, dim: int) -> Tensor:
        speeds = 1.0 / 10000.0 ** (torch.arange(0, dim, 2, dtype=torch.float64) / dim)
        return torch.outer(torch.arange(size, dtype=torch.float64), speeds)

    grid = (frames, rows, columns)
    t = angles(frames, head_dim - 2 * side)[:, None, None].expand(*grid, -1)
    h = angles(rows, side)[None, :, None].expand(*grid, -1)
    w = angles(columns, side)[None, None].expand(*grid, -1)
    table = torch.cat([t, h, w], -1).flatten(1, 2)
    return torch.stack([table.cos(), table.sin()]).float().to(device)


def rotate(heads: Tensor, table: Float[Tensor, "2 tokens half"]) -> Tensor:
    """Interleaved pairs turned by the table: `... tokens heads head_dim`."""
    even, odd = heads.unflatten(-1, (-1, 2)).unbind(-1)
    cos, sin = table.to(heads.dtype)[:, :, None]
    return torch.stack(
        [torch.addcmul(even * cos, odd, sin, value=-1), torch.addcmul(even * sin, odd, cos)], -1
    ).flatten(-2)


def layer_weights(layer: torch.nn.Module, dtype: torch.dtype) -> dict[str, Tensor]:
    """The weights of one WanTransformerBlock by name, in the dtype of the tokens."""
    return {name: p.to(dtype) for name, p in layer.named_parameters()}


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Fused attention on `b tokens heads head_dim`."""
    out = F.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return out.transpose(1, 2)


def wan_layer(
    weights: dict[str, Tensor],
    tokens: Float[Tensor, "b *groups m d"],
    modulation: Float[Tensor, "b *groups 6 d"],
    text: Float[Tensor, "b words d"],
    heads: int,
    mix: Callable[[Tensor, Tensor, Tensor], Tensor],
) -> Float[Tensor, "b *groups m d"]:
    """One layer over tokens in groups, each of which has one timestep.

    Args:
        weights: the layer's weights by name.
        tokens: in groups of m.
        modulation: the six shifts, scales and gates of each group, before the layer's own table is added.
        text: projected rows of the prompt.
        heads: number of attention heads.
        mix: self-attention: un-rotated q, k, v `b *groups m heads head_dim` to `b *groups m d`.
    """
    width = tokens.shape[-1]
    changes = (weights["scale_shift_table"] + modulation.float()).to(tokens.dtype).unsqueeze(-2)
    shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = changes.unbind(-3)

    def linear(name: str, x: Tensor) -> Tensor:
        return F.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def normed(name: str, x: Tensor) -> Tensor:
        return F.rms_norm(x, (width,), weights[f"{name}.weight"], 1e-6).unflatten(-1, (heads, -1))

    hidden = torch.addcmul(shift, F.layer_norm(tokens, (width,), eps=1e-6), 1 + scale)
    q = normed("attn1.norm_q", linear("attn1.to_q", hidden))
    k = normed("attn1.norm_k", linear("attn1.to_k", hidden))
    v = linear("attn1.to_v", hidden).unflatten(-1, (heads, -1))
    tokens = torch.addcmul(tokens, linear("attn1.to_out.0", mix(q, k, v)), gate)

    hidden = F.layer_norm(tokens, (width,), weights["norm2.weight"], weights["norm2.bias"], 1e-6)
    q = normed("attn2.norm_q", linear("attn2.to_q", hidden)).flatten(1, -3)
    k = normed("attn2.norm_k", linear("attn2.to_k", text))
    v = linear("attn2.to_v", text).unflatten(-1, (heads, -1))
    tokens = tokens + linear("attn2.to_out.0", attend(q, k, v).flatten(-2).reshape(tokens.shape))

    hidden = torch.addcmul(ffn_shift, F.layer_norm(tokens, (width,), eps=1e-6), 1 + ffn_scale)
    hidden = linear("ffn.net.2", F.gelu(linear("ffn.net.0.proj", hidden), approximate="tanh"))
    return torch.addcmul(tokens, hidden, ffn_gate)


def embed(transformer: Any, patches: Float[Tensor, "*groups patch"], dtype: torch.dtype) -> Tensor:
    """Tokens of flattened patches."""
    embedding = transformer.patch_embedding
    return F.linear(patches, embedding.weight.flatten(1), embedding.bias).to(dtype)


def embed_timesteps(
    transformer: Any, timesteps: Float[Tensor, "*groups"]
) -> tuple[Float[Tensor, "*groups d"], Float[Tensor, "*groups 6 d"]]:
    """The time embedding, and what modulates the layers."""
    embedder = transformer.condition_embedder
    temb = embedder.time_embedder(embedder.timesteps_proj(timesteps.flatten())).unflatten(0, timesteps.shape)
    return temb, embedder.time_proj(embedder.act_fn(temb)).unflatten(-1, (6, -1))


def project(
    transformer: Any, tokens: Float[Tensor, "*groups m d"], temb: Float[Tensor, "*groups d"]
) -> Float[Tensor, "*groups m patch"]:
    """The last norm and projection: patches of the flow."""
    shift, scale = (transformer.scale_shift_table + temb.unsqueeze(-2)).chunk(2, dim=-2)
    out = F.layer_norm(tokens.float(), tokens.shape[-1:], eps=1e-6) * (1 + scale) + shift
    return transformer.proj_out(out)
