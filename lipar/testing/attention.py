"""The self-attention of a stream of blocks with random queries, keys and values, without a model."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lipar.attention.donors import sequence_donors
from lipar.attention.kv_cache import KVCache, Positions
from lipar.attention.merged_block import block_context
from lipar.attention.rope import RotaryEmbedding
from lipar.layout import TokenLayout
from lipar.origins import TokenOrigins
from lipar.protocols import Donation, ForwardPass, Merging, NoiseSource, Recovery, RecoveryPlan
from lipar.types import Heads, Indices, KeepMask

LAYERS, HEADS, HEAD_DIM = 2, 2, 12
"""Sizes of `AttentionStream`."""
PASSES = (ForwardPass.at(0, 0.8), ForwardPass.at(1, 0.6), ForwardPass.at(-1, 0.0))
"""The passes of a block: two denoise steps and the clean pass."""


class FillAll(Recovery):
    """The simplest recovery: the key and value of every pruned place are those of its donor."""

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """No place is left out, and no copy is rotated to another position than its own."""
        return RecoveryPlan()


class SequenceDonors(NoiseSource):
    """The simplest noise source: the donor of a pruned token is its restoration source, in the same pass."""

    per_step = True

    def ready(self, layout: TokenLayout) -> bool:
        """True: the source is always in the block or in the cache."""
        return True

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Copies of the sources; noisy where the source is in the block."""
        return sequence_donors(donation)

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """Frames of the sources, relative to the block."""
        first = layout.first_frame * layout.tokens_per_frame
        return (layout.restore_source[places] - first) // layout.tokens_per_frame

    def observe(self, donation: Donation) -> None:
        """Does nothing: no state is kept."""

    def reset(self) -> None:
        """Does nothing: no state is kept."""


class AttentionStream:
    """The self-attention of one video: two layers, two denoise steps and a clean pass in each block.

    Values depend on (seed, block, pass, layer, branch, place) only, so not on what is pruned. The cache has one sink
    frame and a window of 4 frames, so blocks have at most 3.

    Args:
        recovery: the recovery to run.
        noise: the noise source to run; None: none, for a recovery that needs no donors.
        branches: guidance branches that run together: 0, 1 or both.
        seed: seed of the values.
        poison: put NaN in every row of the cache that no pass has written yet.
        positions: positions of the cache, see `KVCache`.
        fused: as the fast engines run it, see `BlockContext`.
        merging: merges tokens in the denoise steps; None: none does.
    """

    def __init__(
        self,
        recovery: Recovery,
        noise: NoiseSource | None,
        *,
        branches: Sequence[int] = (0, 1),
        seed: int = 0,
        poison: bool = False,
        positions: Positions = "rolling",
        fused: bool = False,
        merging: Merging | None = None,
    ) -> None:
        self.recovery, self.noise = recovery, noise
        self._branches, self._seed, self._poison = list(branches), seed, poison
        self._fused, self._merging = fused, merging
        self._index = self._first_frame = 0
        self.cache = KVCache(
            LAYERS, RotaryEmbedding(HEAD_DIM), sink_frames=1, window_frames=4, positions=positions
        )

    def run(self, masks: Sequence[KeepMask]) -> list[Tensor]:
        """Run all blocks.

        Returns:
            Attention output of the kept tokens, `b n heads head_dim`, for every block, pass and layer.
        """
        return [output for mask in masks for output in self.block(mask)]

    def block(self, mask: KeepMask, origins: TokenOrigins | None = None) -> list[Tensor]:
        """Run the next block; the mask of the first block must keep all of its first frame.

        Args:
            mask: its kept tokens.
            origins: where its pruned tokens come from; None: from their own positions.

        Returns:
            Attention output of the kept tokens, `b n heads head_dim`, for every pass and layer.
        """
        first = self._first_frame
        layout = TokenLayout(mask, first_frame=first, has_history=first > 0, origins=origins)
        outputs = []
        if layout.kept_count == 0:
            self.cache.append_copies(layout, fills=self.recovery.fills)
            if self.noise is not None:
                self.noise.skip(layout)
        else:
            noise = self.noise if self.recovery.fills else None
            context = block_context(
                self.cache, layout, self.recovery, noise, fused=self._fused, merging=self._merging
            )
            if self._poison:
                self._spoil(layout)
            for number, forward_pass in enumerate(PASSES):
                context.begin_pass(forward_pass)
                for layer in range(LAYERS):
                    q, k, v = (layout.prune(x) for x in self._values(number, layer, layout))
                    outputs.append(context.attend(layer, q, k, v))
            context.commit()
        self._index += 1
        self._first_frame += layout.frames
        return outputs

    def _values(self, number: int, layer: int, layout: TokenLayout) -> Tensor:
        seed = ((self._seed * 97 + self._index) * 97 + number) * 97 + layer
        drawn = torch.randn(
            3, 2, layout.token_count, HEADS, HEAD_DIM, generator=torch.Generator().manual_seed(seed)
        )
        return drawn[:, self._branches]

    def _spoil(self, layout: TokenLayout) -> None:
        like = torch.empty(len(self._branches), 0, HEADS, HEAD_DIM)
        for layer in range(LAYERS):
            rows = self.cache.layer(layer, like, self.cache.rows + layout.token_count)
            for states in (rows.k, rows.k_rotated, rows.v):
                states[:, self.cache.rows :] = torch.nan
