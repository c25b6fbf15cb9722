"""Bipartite soft matching: which tokens are merged into which (Sec. 3 of arXiv 2210.09461), shared by mergings."""

from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Real
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.protocols import Match
from lipar.types import Heads

Split: TypeAlias = tuple[Tensor, Tensor]
"""Destinations and sources, as indices into the kept tokens, ascending; each kept token is in one of them.

`b destinations` and `b sources`; with a `b` of 1, they are those of every guidance branch.
"""


def mean_keys(k: Heads) -> Float[Tensor, "b n head_dim"]:
    """What tokens are compared by: un-rotated keys, averaged over heads, of length 1 (Sec. 3 of arXiv 2210.09461)."""
    return F.normalize(k.float().mean(dim=2), dim=-1)


def soft_match(
    keys: Float[Tensor, "b n head_dim"],
    split: Split,
    count: int,
    first: Bool[Tensor, "n"] | None = None,
) -> Match:
    """Merge the `count` sources that are nearest to a destination into that destination.

    Every source has one edge, to its most similar destination; the most similar pairs are merged, of equal ones the
    first. The sources that stay alone are the first groups, in their order, and the destinations the others.

    Args:
        keys: of length 1, so that products are cosines.
        split: at least one destination where `count` is above 0.
        count: how many sources are merged, at most all.
        first: tokens that are merged before any other source is; None: similarity alone decides.
    """
    destinations, sources = (part.expand(keys.shape[0], -1) for part in split)
    of_sources, of_destinations = (
        torch.take_along_dim(keys, x[:, :, None], 1) for x in (sources, destinations)
    )
    similarity, nearest = (of_sources @ of_destinations.transpose(1, 2)).max(dim=-1)
    order = similarity.argsort(dim=-1, descending=True, stable=True)
    if first is not None:
        later = ~first[sources.gather(1, order)]
        order = order.gather(1, later.long().argsort(dim=-1, stable=True))
    is_merged = torch.zeros_like(similarity, dtype=torch.bool).scatter_(1, order[:, :count], True)
    single = order[:, count:].sort(dim=-1).values  # sources that stay alone, in their order
    alone = sources.shape[1] - count
    of_destination = torch.arange(destinations.shape[1], device=keys.device) + alone
    group = torch.empty(keys.shape[:2], dtype=torch.long, device=keys.device)
    group.scatter_(1, sources, torch.where(is_merged, alone + nearest, (~is_merged).cumsum(1) - 1))
    group.scatter_(1, destinations, of_destination.expand_as(destinations))
    return Match(group, torch.cat([sources.gather(1, single), destinations], dim=1))


def first_of_regions(layout: TokenLayout, priority: Real[Tensor, "b n"], stride: int) -> Split:
    """One kept token of every region of a frame, that of the highest priority, and the others.

    Args:
        layout: which tokens of the block are kept.
        priority: of the kept tokens, in each branch; of equal ones the first counts.
        stride: rows and columns of a region; at the edges it is cut.
    """
    frames, rows, cols = layout.grid
    row = torch.arange(rows, device=priority.device) // stride
    col = torch.arange(cols, device=priority.device) // stride
    across = -(-cols // stride)
    region = row[:, None] * across + col
    regions = across * -(-rows // stride)
    region = (region + regions * torch.arange(frames, device=priority.device)[:, None, None]).flatten()
    region = region[layout.kept]
    # sorted by region and, inside of it, by priority; stable sorts keep equal ones in their order
    by_priority = priority.argsort(dim=-1, descending=True, stable=True)
    order = by_priority.gather(1, region[by_priority].argsort(dim=-1, stable=True))
    sorted_regions = region.sort().values
    first = torch.ones_like(sorted_regions, dtype=torch.bool)
    first[1:] = sorted_regions[1:] != sorted_regions[:-1]
    return split_at(torch.zeros_like(order, dtype=torch.bool).scatter_(1, order, first.expand_as(order)))


def split_at(chosen: Bool[Tensor, "b n"]) -> Split:
    """The chosen tokens as destinations, as many in each branch, and the others as sources."""
    branches = chosen.shape[0]
    destinations, sources = (mask.nonzero()[:, 1].view(branches, -1) for mask in (chosen, ~chosen))
    return destinations, sources
