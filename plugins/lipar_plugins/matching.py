"""Bipartite soft matching: which tokens are merged into which (Sec. 3 of arXiv 2210.09461), shared by mergings."""

from typing import TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.protocols import Match
from lipar.types import ChangeMap, Heads, Indices

Split: TypeAlias = tuple[Indices, Indices]
"""Destinations and sources, as indices into the kept tokens, ascending; each kept token is in one of them."""


def mean_keys(k: Heads) -> Float[Tensor, "b n head_dim"]:
    """What tokens are compared by: un-rotated keys, averaged over heads, of length 1 (Sec. 3 of arXiv 2210.09461)."""
    return F.normalize(k.float().mean(dim=2), dim=-1)


def soft_match(
    keys: Float[Tensor, "b n head_dim"], destinations: Indices, sources: Indices, count: int
) -> Match:
    """Merge the `count` sources that are nearest to a destination into that destination.

    Every source has one edge, to its most similar destination; the most similar pairs are merged.

    Args:
        keys: of length 1, so that products are cosines.
        destinations: some of the n tokens, at least one where `count` is above 0.
        sources: the others.
        count: how many sources are merged, at most all.
    """
    similarity, nearest = (keys[:, sources] @ keys[:, destinations].transpose(1, 2)).max(dim=-1)
    return match_of(similarity, nearest, destinations, sources, count)


def match_of(
    similarity: Float[Tensor, "b sources"],
    nearest: Tensor,
    destinations: Indices,
    sources: Indices,
    count: int,
) -> Match:
    """Merge the `count` sources of the highest similarity, each into its own destination.

    Args:
        similarity: of each source to its destination; of equal ones the first is merged.
        nearest: which of the destinations that is, `b sources`.
        destinations: some tokens.
        sources: all others.
        count: how many sources are merged.
    """
    branches, device = similarity.shape[0], similarity.device
    order = similarity.argsort(dim=-1, descending=True, stable=True)
    is_merged = torch.zeros_like(similarity, dtype=torch.bool).scatter_(1, order[:, :count], True)
    single = order[:, count:].sort(dim=-1).values  # sources that stay alone, in their order
    alone = sources.shape[0] - count
    group_of_source = torch.where(is_merged, alone + nearest, (~is_merged).cumsum(1) - 1)
    group = torch.empty(branches, sources.shape[0] + destinations.shape[0], dtype=torch.long, device=device)
    group[:, sources] = group_of_source
    group[:, destinations] = torch.arange(destinations.shape[0], device=device) + alone
    return Match(group, torch.cat([sources[single], destinations.expand(branches, -1)], dim=1))


def first_of_regions(layout: TokenLayout, priority: ChangeMap, stride: int) -> Split:
    """One kept token of every region of a frame, that of the highest priority, and the others.

    Args:
        layout: which tokens of the block are kept.
        priority: of every place; of equal ones the first counts.
        stride: rows and columns of a region; at the edges it is cut.

    Returns:
        Both as indices into the kept tokens, ascending.
    """
    frames, rows, cols = layout.grid
    row = torch.arange(rows, device=priority.device) // stride
    col = torch.arange(cols, device=priority.device) // stride
    across = -(-cols // stride)
    region = row[:, None] * across + col
    regions = across * -(-rows // stride)
    region = (region + regions * torch.arange(frames, device=priority.device)[:, None, None]).flatten()
    region = region[layout.kept]
    kept_priority = priority.flatten()[layout.kept]
    # sorted by region and, inside of it, by priority; stable sorts keep equal ones in their order
    by_priority = kept_priority.argsort(descending=True, stable=True)
    order = by_priority[region[by_priority].argsort(stable=True)]
    sorted_regions = region[order]
    first = torch.ones_like(sorted_regions, dtype=torch.bool)
    first[1:] = sorted_regions[1:] != sorted_regions[:-1]
    chosen = torch.zeros_like(first).index_copy_(0, order, first)
    return chosen.nonzero().squeeze(1), (~chosen).nonzero().squeeze(1)
