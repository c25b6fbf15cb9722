"""The base class of noise sources that start from clean copies of the frame before the block."""

import attrs

from lipar.attention.donors import clean_copies
from lipar.protocols import Donation, NoiseSource
from lipar.types import Heads


@attrs.define
class DonorRule(NoiseSource):
    """Clean keys and values of the frame before the block, once per block.

    A subclass overrides `donors`, with `per_step = True` if these differ between steps; one that learns from computed
    tokens overrides `observe` and `reset`, too. For the fast engines it overrides `donor_rows` and `replay_key`.
    """

    needs = frozenset({"causal-cache"})

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Clean keys and values of the same position in the frame before the block."""
        return clean_copies(donation)
