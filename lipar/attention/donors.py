"""Donors: the tokens whose keys and values replace those of pruned tokens. The rules that noise sources share.

Most functions take a `Donation`, what a noise source receives of one layer in one pass, and give keys and values for
its `places`. Keys are un-rotated; the caller rotates them to the position that the recovery chooses.
"""

import torch

from lipar.layout import TokenLayout
from lipar.protocols import Donation
from lipar.types import Heads, Indices


def sequence_donors(donation: Donation) -> tuple[Heads, Heads]:
    """Keys and values of each place's restoration source: the frame before it, in sequence (Alg. 2)."""
    layout, places = donation.layout, donation.places
    k = layout.fill(donation.history_k, donation.k, places)
    v = layout.fill(donation.history_v, donation.v, places)
    return k, v


def clean_copies(donation: Donation) -> tuple[Heads, Heads]:
    """Keys and values at each place's position in the last frame before the block, from the KV cache (as the paper).

    What has moved since is taken from where it was; what was not in the picture yet, from the earliest known position.
    """
    assert donation.history_k is not None and donation.history_v is not None
    position = donation.layout.position_before(donation.places)
    return donation.history_k.index_select(1, position), donation.history_v.index_select(1, position)


def in_block_first(donation: Donation, k: Heads, v: Heads) -> tuple[Heads, Heads]:
    """The in-block rule: a kept token earlier in the block gives its keys and values of the same pass.

    Args:
        donation: a layer in one pass, with at least one kept token.
        k: keys for the places without such a token, `b places heads head_dim`.
        v: values, likewise.
    """
    row = donation.layout.source_row(donation.places)
    inside, row = (row >= 0)[:, None, None], row.clamp(min=0)
    k = torch.where(inside, donation.k.index_select(1, row), k)
    return k, torch.where(inside, donation.v.index_select(1, row), v)


def in_block_times(layout: TokenLayout, places: Indices, otherwise: Indices) -> Indices:
    """Index in the block of the frame that each place's source is in; `otherwise` where it is before the block."""
    source = layout.restore_source[places] // layout.tokens_per_frame - layout.first_frame
    return torch.where(source >= 0, source, otherwise)
