"""Self-attention of a model without the model: random queries, keys and values, block by block, through the core."""

from collections.abc import Sequence

import torch
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.donors import sequence_donors
from lipar.attention.kv_cache import KVCache, Positions
from lipar.attention.rope import RotaryEmbedding
from lipar.layout import TokenLayout
from lipar.protocols import Donation, ForwardPass, NoiseSource, Recovery, RecoveryPlan
from lipar.types import Heads, Indices, KeepMask

LAYERS, HEADS, HEAD_DIM = 2, 2, 12
PASSES = (ForwardPass.at(0, 0.8), ForwardPass.at(1, 0.6), ForwardPass.at(-1, 0.0))


class FillAll(Recovery):
    """The plainest recovery: every place takes part."""

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """Nothing is left out and nothing is turned."""
        return RecoveryPlan()


class SequenceDonors(NoiseSource):
    """The plainest noise source: a pruned token's restoration source, in the same pass."""

    per_step = True

    def ready(self, layout: TokenLayout) -> bool:
        """Always, since the source is in the block or in the cache."""
        return True

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Copies, noisy where they stand in the block."""
        return sequence_donors(donation)

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """When the sources stood."""
        first = layout.first_frame * layout.tokens_per_frame
        return (layout.restore_source[places] - first) // layout.tokens_per_frame

    def observe(self, donation: Donation) -> None:
        """Learns nothing."""

    def reset(self) -> None:
        """Holds nothing."""


class AttentionStream:
    """One video's self-attention, two denoise steps and a clean pass a block, two layers.

    Values are drawn for (seed, block, pass, layer, branch, place), so they do not depend on what is pruned.

    Args:
        recovery: any; likewise `noise`. Blocks have at most 3 frames, in a window of 4.
        branches: guidance branches to run together, of 0 and 1.
        seed: of the values.
        poison: put NaN in every row of the cache that no pass has written yet.
        positions: as of `KVCache`.
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
    ) -> None:
        self.recovery, self.noise = recovery, noise
        self._branches, self._seed, self._poison = list(branches), seed, poison
        self._index = self._first_frame = 0
        self.cache = KVCache(
            LAYERS, RotaryEmbedding(HEAD_DIM), sink_frames=1, window_frames=4, positions=positions
        )

    def run(self, masks: Sequence[KeepMask]) -> list[Tensor]:
        """Attention output of the kept tokens for every block, pass and layer, `b n heads head_dim`."""
        return [output for mask in masks for output in self.block(mask)]

    def block(self, mask: KeepMask) -> list[Tensor]:
        """The next block; the first frame of the first must be whole."""
        layout = TokenLayout(mask, first_frame=self._first_frame, has_history=self._first_frame > 0)
        outputs = []
        if layout.kept_count == 0:
            self.cache.append_copies(layout, fills=self.recovery.fills)
        else:
            noise = self.noise if self.recovery.fills else None
            context = BlockContext(self.cache, layout, self.recovery, noise)
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
            for held in (rows.k, rows.k_rotated, rows.v):
                held[:, self.cache.rows :] = torch.nan
