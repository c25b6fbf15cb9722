"""Tokens merged for attention: the mean of each group goes in, a copy of its output comes back to every member.

A pair of functions around attention, `merged` and `unmerged`, and the `Match` that both read. Which tokens are merged
is decided by a part, see `lipar.protocols.Merging`.
"""

import attrs
import torch
from jaxtyping import Float, Int
from torch import Tensor

from lipar.attention.rope import PreparedRotation
from lipar.types import Heads, shaped


@attrs.frozen(eq=False)
class Match:
    """The groups of one layer's tokens, in each guidance branch.

    Every group has at least one token. A token that is not merged is a group of its own.

    Raises:
        TypeError: not integers of these axes.
    """

    group: Tensor = attrs.field(validator=shaped(Int[Tensor, "b n"]))
    """The group of each token, 0 .. groups - 1."""
    at: Tensor = attrs.field(validator=shaped(Int[Tensor, "b groups"]))
    """The token whose position each group takes in the rotary embedding, 0 .. n - 1; one of its members."""

    @property
    def groups(self) -> int:
        """Tokens that attention computes."""
        return self.at.shape[1]

    def sizes(self) -> Float[Tensor, "b groups"]:
        """Members of each group."""
        ones = torch.ones_like(self.group, dtype=torch.float32)
        return torch.zeros_like(self.at, dtype=torch.float32).scatter_add_(1, self.group, ones)


def merged(
    tokens: Heads, match: Match, sizes: Float[Tensor, "b groups"]
) -> Float[Tensor, "b groups heads head_dim"]:
    """The mean of every group (Sec. 3 of arXiv 2303.17604), `b groups heads head_dim`; groups of one as they are.

    Summed in float32, in an order that CUDA does not fix, so that there the last bit may differ from run to run.

    Args:
        tokens: queries, keys or values, un-rotated.
        match: their groups.
        sizes: of `match`.
    """
    branches, groups = match.at.shape
    rows = match.group + groups * torch.arange(branches, device=match.group.device)[:, None]
    sums = torch.zeros(
        (branches * groups, *tokens.shape[2:]), dtype=torch.float32, device=tokens.device
    ).index_add_(0, rows.flatten(), tokens.flatten(0, 1).float())
    means: Tensor = sums.unflatten(0, (branches, groups)) / sizes[:, :, None, None]
    return means.to(tokens.dtype)


def unmerged(outputs: Float[Tensor, "b groups heads head_dim"], match: Match) -> Heads:
    """Every token's output: that of its group, `b n heads head_dim` (Sec. 3.1 of arXiv 2303.17604)."""
    rows = match.group[:, :, None, None].expand(-1, -1, *outputs.shape[2:])
    return outputs.gather(1, rows)


def rotation_of(rotation: PreparedRotation, match: Match) -> PreparedRotation:
    """The rotation of the groups, at the position of one of their tokens; with an axis for the branches."""
    return PreparedRotation(rotation.cos[match.at], rotation.sin[match.at])
