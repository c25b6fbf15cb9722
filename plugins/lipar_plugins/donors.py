"""What rules for donors are made of: a rule of one's own is a `DonorRule` with another `donors`."""

import attrs
import torch

from lipar.layout import TokenLayout
from lipar.protocols import Donation
from lipar.types import Heads, Indices


@attrs.define
class DonorRule:
    """Clean keys and values of the frame before the block, once per block; what rules have in common.

    A rule overrides `donors`, with `per_step = True` where these are others at every step; one that learns from what
    was computed overrides `observe` and `reset`, too.
    """

    per_step = False
    needs = frozenset({"causal-cache"})

    def ready(self, layout: TokenLayout) -> bool:
        return layout.has_history

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        return clean_copies(donation)

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        return torch.full_like(places, -1)

    def observe(self, donation: Donation) -> None:
        """Needs nothing of the denoise passes."""

    def reset(self) -> None:
        """Holds nothing."""

    def frames_held(self, block_frames: int) -> int:
        """Frames of keys and values kept for every layer and denoise step."""
        return 0


def clean_copies(donation: Donation) -> tuple[Heads, Heads]:
    """What stands at each place's position in the frame before the block, from the KV cache."""
    assert donation.history_k is not None and donation.history_v is not None
    position = donation.layout.position(donation.places)
    return donation.history_k.index_select(1, position), donation.history_v.index_select(1, position)


def in_block_first(donation: Donation, k: Heads, v: Heads) -> tuple[Heads, Heads]:
    """Where a kept token stands earlier in the block, its keys and values of this very pass; elsewhere `k` and `v`."""
    row = donation.layout.source_row(donation.places)
    inside, row = (row >= 0)[:, None, None], row.clamp(min=0)
    k = torch.where(inside, donation.k.index_select(1, row), k)
    return k, torch.where(inside, donation.v.index_select(1, row), v)


def in_block_times(layout: TokenLayout, places: Indices, otherwise: Indices) -> Indices:
    """The frame of the block in which each place's source stands; `otherwise` where that is before the block."""
    source = layout.restore_source[places] // layout.tokens_per_frame - layout.first_frame
    return torch.where(source >= 0, source, otherwise)
