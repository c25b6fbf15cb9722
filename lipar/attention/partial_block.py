"""Self-attention of a denoise step that computes only some of a block's kept tokens.

The others are attended to by the keys and values in their rows, which an earlier step of the block wrote. So are the
pruned ones: donors, and what a noise source measures, are those of the last step that computed every kept token.
"""

import attrs
import torch

from lipar.attention.block import BlockContext
from lipar.attention.rope import PreparedRotation
from lipar.layout import TokenLayout


class PartialBlock(BlockContext):
    """A `BlockContext` whose `layout` is that of the computed tokens; it shares the rows of the whole one.

    Args:
        whole: of all kept tokens; a pass of it has written their rows, in a cache that is persistent.
        computed: of the block's grid; its kept tokens are kept in the block, too.
    """

    def __init__(self, whole: BlockContext, computed: TokenLayout) -> None:
        # not by `super()`: that opens a block in the cache, and this one is open
        vars(self).update(vars(whole))
        vars(self).pop("signature", None)
        assert self._cache.persistent
        kept, region = self.layout.kept, self._denoise
        rank_of_place = torch.zeros(self.layout.token_count, dtype=torch.long, device=kept.device)
        rank = rank_of_place.index_copy(0, kept, torch.arange(kept.shape[0], device=kept.device))[
            computed.kept
        ]
        self.layout, self._noise = computed, None
        self._kept_rotation = PreparedRotation(self._kept_rotation.cos[rank], self._kept_rotation.sin[rank])
        if region.attended is None:
            own = attrs.evolve(region, kept_slots=region.kept_slots[rank])
        else:
            # of the tokens that are computed, those that are attended to, and their slots
            slots = torch.full_like(kept, -1).index_copy(0, region.attended, region.kept_slots)[rank]
            attended = (slots >= 0).nonzero().squeeze(1)
            own = attrs.evolve(region, kept_slots=slots[attended], attended=attended)
        self._denoise = attrs.evolve(own, places=region.places[:0])

    @property
    def why_not_recorded(self) -> str:
        """Always the same reason: the number of tokens differs."""
        return "with reuse, a step computes only some tokens"
