"""Self-attention of a block whose tokens are merged: in the denoise steps, one query for each group of kept tokens.

Where nothing is pruned, a group has one row of keys and values as well, and these are the first rows of the block. In a
block with pruned tokens rows stay as `lipar.attention.block` draws them, and only queries are merged: fills have places
of their own between those of kept tokens, and a recovery may weigh each of them. The clean pass is not merged.
"""

import torch
from torch import Tensor

from lipar.attention.block import BlockContext, sdpa
from lipar.attention.kv_cache import KVCache
from lipar.attention.merge import Match, merged, rotation_of, unmerged
from lipar.attention.rope import rotate
from lipar.layout import TokenLayout, patchify
from lipar.protocols import (
    AttentionKernel,
    LayerTokens,
    Merging,
    NoiseSource,
    Recovery,
    StepPrediction,
)
from lipar.types import Heads, Latents


def block_context(
    cache: KVCache,
    layout: TokenLayout,
    recovery: Recovery,
    noise: NoiseSource | None,
    *,
    fused: bool = False,
    merging: Merging | None = None,
) -> BlockContext:
    """Self-attention of one block, with merged tokens or, where `merging` is None, without."""
    if merging is None:
        return BlockContext(cache, layout, recovery, noise, fused=fused)
    return MergedBlock(cache, layout, recovery, noise, fused=fused, merging=merging)


class MergedBlock(BlockContext):
    """A `BlockContext` that merges tokens in the denoise passes.

    Args:
        cache, layout, recovery, noise, fused: as for `BlockContext`.
        merging: says which.
    """

    def __init__(
        self,
        cache: KVCache,
        layout: TokenLayout,
        recovery: Recovery,
        noise: NoiseSource | None,
        *,
        merging: Merging,
        fused: bool = False,
    ) -> None:
        super().__init__(cache, layout, recovery, noise, fused=fused)
        self._merging = merging
        self._guidance: Tensor | None = None

    @property
    def why_not_recorded(self) -> str:
        """Always the same reason: the groups differ in every pass."""
        return "the merging matches tokens anew in every pass"

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel = sdpa) -> Heads:
        """Attention output of the kept tokens; those of a group have the same."""
        if self.forward_pass.clean:
            return super().attend(layer_idx, q, k, v, kernel)
        tokens = LayerTokens(
            layer_idx=layer_idx, forward_pass=self.forward_pass, layout=self.layout, q=q, k=k, v=v
        )
        match = self._merging.match(tokens)
        if match is None:
            return super().attend(layer_idx, q, k, v, kernel)
        region, sizes = self._denoise, match.sizes()
        if (
            self.layout.kept_count == self.layout.token_count
            and region.attended is None
            and region.bias is None
        ):
            return self._attend_groups(tokens, match, kernel)
        queries = rotate(merged(q, match, sizes), rotation_of(self._kept_rotation, match))

        def of_groups(_: Tensor, *keys_values_bias: Tensor) -> Tensor:
            attended: Tensor = kernel(queries, *keys_values_bias)
            return unmerged(attended, match)

        return super().attend(layer_idx, q, k, v, of_groups)

    def _attend_groups(self, tokens: LayerTokens, match: Match, kernel: AttentionKernel) -> Heads:
        """Attention with one query and one row for each group."""
        k, v = tokens.k, tokens.v
        rows = self._cache.layer(tokens.layer_idx, k, self._start + self.layout.token_count)
        sizes, rotation = match.sizes(), rotation_of(self._kept_rotation, match)
        end = self._start + match.groups
        # every pass writes these rows before it reads them, so the clean pass finds nothing of the groups
        rows.k_rotated[:, self._start : end] = rotate(merged(k, match, sizes), rotation)
        rows.v[:, self._start : end] = merged(v, match, sizes)
        if self._noise is not None:
            self._noise.observe(self._donation(tokens.layer_idx, self._denoise, rows, k, v))
        bias: tuple[Tensor, ...] = ()
        if self._merging.proportional:
            own = torch.cat([sizes.new_zeros(sizes.shape[0], self._start), sizes.log()], dim=1)
            bias = (own[:, None, None].to(k.dtype),)
        queries = rotate(merged(tokens.q, match, sizes), rotation)
        return unmerged(kernel(queries, rows.k_rotated[:, :end], rows.v[:, :end], *bias), match)

    def take_guidance(self, difference: Latents) -> None:
        """What a model with two branches adds to the flow, before the guidance scale: with the prompt minus without."""
        self._guidance = difference

    def predicted(self, flow: Latents, change: Latents, patch: int) -> None:
        """Pass on what a denoise step predicted, for the merging of the next one; called after each of them.

        Args:
            flow: of the block, `1 t c h w`; zeros at pruned places.
            change: the clean estimate after the step minus that before it.
            patch: latent rows and columns of a token.
        """
        guidance, self._guidance = self._guidance, None

        def kept(latents: Latents) -> Tensor:
            tokens: Tensor = self.layout.prune(patchify(latents, patch))
            return tokens

        self._merging.observe(
            StepPrediction(
                forward_pass=self.forward_pass,
                layout=self.layout,
                flow=kept(flow),
                change=kept(change),
                guidance=None if guidance is None else kept(guidance),
            )
        )
