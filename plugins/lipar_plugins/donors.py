"""What rules for donors are made of: a rule of one's own is a `DonorRule` with another `donors`."""

import attrs
import torch

from lipar.attention.donors import clean_copies
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
