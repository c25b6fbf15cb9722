"""Where the pruned tokens of a block come from, if not from their own places: a picture that moves by whole tokens.

A *place* is the index of a token in its block, in t, h, w order. The frame before the block has places, too:
`-tokens_per_frame` to -1. `TokenOrigins` names one earlier place for each place of a block; chains of them are followed
here, from frame to frame.
"""

from collections.abc import Iterable
from typing import Any

import attrs
import torch
from jaxtyping import Int
from torch import Tensor

from lipar.types import Indices, KeepMask, shaped

Places = Int[Tensor, "t rows cols"]
"""A place for every place of a block."""
NOWHERE = -(2**31)
"""In `TokenOrigins.place`: nothing earlier shows what is here."""


def _as_long(place: Any) -> Any:
    # what is no tensor of integers is refused by the field's validator
    is_integer = isinstance(place, Tensor) and not place.is_floating_point() and place.dtype != torch.bool
    return place.long() if is_integer else place


@attrs.frozen(eq=False)
class TokenOrigins:
    """For each place of a block, the place of an earlier frame that shows the same.

    A layout with origins restores a pruned token from there instead of from its own place, one frame before. A place
    without an origin, as in the strip that a camera uncovers, must be kept. Kept tokens have origins as well: what is
    before them is found through them.

    The host waits for the device once, when origins are made.

    Args:
        place: a place of an earlier frame of the block, -tokens_per_frame to -1 in the frame before the block, or
            `NOWHERE`. On the device of the latents.

    Raises:
        TypeError: not an integer `t rows cols` tensor.
        ValueError: a place that is not in an earlier frame.

    Example:
        >>> from lipar import TokenOrigins
        >>> TokenOrigins.shifted(
        ...     (2, 1, 3), [(0, 0), (0, 1)]
        ... ).place.tolist()  # the second frame moved to the right
        [[[-3, -2, -1]], [[-2147483648, 0, 1]]]
    """

    place: Tensor = attrs.field(validator=shaped(Places), converter=_as_long)

    def __attrs_post_init__(self) -> None:
        frames, tokens = self.place.shape[0], self.tokens_per_frame
        if not tokens or not frames:
            raise ValueError(f"origins need at least one place, got shape {list(self.place.shape)}")
        start = torch.arange(frames, device=self.place.device)[:, None, None] * tokens
        right = ((self.place >= -tokens) & (self.place < start)) | (self.place == NOWHERE)
        if not bool(right.all()):
            where = tuple((~right).nonzero()[0].tolist())
            raise ValueError(
                f"an origin is a place of an earlier frame: {-tokens} to {where[0] * tokens - 1} in frame {where[0]}, "
                f"or lipar.origins.NOWHERE; got {int(self.place[where])} at {where} (frame, row, column)"
            )

    @classmethod
    def shifted(
        cls,
        grid: tuple[int, int, int],
        shifts: Iterable[tuple[int, int]],
        *,
        device: torch.device | str | None = None,
    ) -> "TokenOrigins":
        """Origins of a picture that moves as a whole.

        Args:
            grid: frames, rows and columns of the block's token grid.
            shifts: rows and columns by which the picture moves from the frame before into each frame; down and to the
                right are positive.
            device: of the latents.

        Raises:
            ValueError: not a shift for each frame.
        """
        frames, moves = grid[0], list(shifts)
        if len(moves) != frames:
            raise ValueError(f"a block of {frames} frames needs {frames} shifts, got {len(moves)}")
        return cls(shifted_places(grid, torch.tensor(moves, dtype=torch.long).to(device)))

    @property
    def tokens_per_frame(self) -> int:
        """Number of tokens of a frame."""
        return self.place.shape[1] * self.place.shape[2]

    @property
    def known(self) -> KeepMask:
        """Where there is an origin; the others must be kept."""
        return self.place != NOWHERE

    def to(self, device: torch.device | str) -> "TokenOrigins":
        """The same on a device."""
        return self if self.place.device == torch.device(device) else TokenOrigins(self.place.to(device))

    def source_rows(self, keep_mask: KeepMask) -> Indices:
        """Row of each place's source in [frame before the block | kept tokens].

        The source is the place itself where it is kept, and its origin's source otherwise.
        """
        tokens = self.tokens_per_frame
        kept_row = (keep_mask.flatten().cumsum(0) - 1 + tokens).view(-1, tokens)
        keep, place = keep_mask.flatten(1), self.place.flatten(1)
        rows = torch.arange(tokens * (len(place) + 1), device=place.device)
        for frame, (kept, origin) in enumerate(zip(keep, place)):
            # an unknown origin belongs to a kept token; any row will do there
            of_origin = rows[(origin + tokens).clamp(min=0)]
            rows[tokens * (frame + 1) : tokens * (frame + 2)] = torch.where(kept, kept_row[frame], of_origin)
        return rows[tokens:]

    def position_at(self, places: Indices, times: Indices | int) -> Indices:
        """Position in its frame that what is at each place had at an earlier time.

        Where it was not seen at that time, because its origin is unknown or in a frame before, it is the earliest
        position after it that is known.

        Args:
            places: which places, 0 or more.
            times: a frame, counted from the block's first; -1 is the frame before the block, the earliest known.
        """
        tokens, origin = self.tokens_per_frame, self.place.flatten()
        at = places
        for _ in range(self.place.shape[0]):
            before = origin[at.clamp(min=0)]
            goes_on = (at >= 0) & (before != NOWHERE)
            at = torch.where(goes_on & (before.div(tokens, rounding_mode="floor") >= times), before, at)
        return at % tokens


def shifted_places(grid: tuple[int, int, int], shifts: Int[Tensor, "t 2"]) -> Places:
    """The origins of a picture that moves as a whole, as `TokenOrigins.shifted` takes the shifts."""
    _, rows, cols = grid
    time, row, col = (torch.arange(size, device=shifts.device) for size in grid)
    row, col = row[None] - shifts[:, :1], col[None] - shifts[:, 1:]
    inside = ((row >= 0) & (row < rows))[:, :, None] & ((col >= 0) & (col < cols))[:, None]
    place = (time[:, None, None] - 1) * rows * cols + row[:, :, None] * cols + col[:, None]
    return torch.where(inside, place, NOWHERE)


def run_lengths(source_rows: Indices, rows: int) -> Indices:
    """How many places have the same source as each place; there are so many rows."""
    count = source_rows.new_zeros(rows).scatter_add_(0, source_rows, torch.ones_like(source_rows))
    return count[source_rows]


def run_indices(source_rows: Indices) -> Indices:
    """How many places before each place have the same source."""
    order = source_rows.argsort(stable=True)
    in_order = source_rows[order]
    index = torch.arange(len(order), device=order.device)
    begins = torch.ones_like(in_order, dtype=torch.bool)
    begins[1:] = in_order[1:] != in_order[:-1]
    first = torch.where(begins, index, 0).cummax(0).values
    return torch.empty_like(order).scatter_(0, order, index - first)
