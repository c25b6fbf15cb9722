"""Where a frame has to be decoded again: changed latents, the cells around them, and rectangles that cover these."""

from collections.abc import Sequence
from typing import NamedTuple, TypeAlias

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lipar.types import Latents

LatentFrame: TypeAlias = Float[Tensor, "b 1 c h w"]
Cells: TypeAlias = Bool[Tensor, "h w"]
"""True at the cells of a latent frame that are meant; one mask for all videos of a batch."""


class Rect(NamedTuple):
    """Rows `top..bottom - 1` and columns `left..right - 1` of a grid."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """Number of cells."""
        return (self.bottom - self.top) * (self.right - self.left)

    def scaled(self, factor: int) -> "Rect":
        """The same place on a grid that is `factor` times finer."""
        return Rect(*(factor * edge for edge in self))

    def grown(self, margin: int) -> "Rect":
        """With `margin` more rows and columns on each side."""
        return Rect(self.top - margin, self.bottom + margin, self.left - margin, self.right + margin)

    def clipped(self, frame: "Rect") -> "Rect":
        """What of it lies inside `frame`."""
        return Rect(
            max(self.top, frame.top),
            min(self.bottom, frame.bottom),
            max(self.left, frame.left),
            min(self.right, frame.right),
        )

    def within(self, outer: "Rect") -> "Rect":
        """The same place, counted from the first row and column of `outer`."""
        return Rect(
            self.top - outer.top, self.bottom - outer.top, self.left - outer.left, self.right - outer.left
        )

    def of(self, features: Tensor) -> Tensor:
        """A view of that place; rows and columns are the last two axes."""
        return features[..., self.top : self.bottom, self.left : self.right]

    def meets(self, other: "Rect") -> bool:
        """Whether the two have a cell in common."""
        return (
            self.top < other.bottom
            and other.top < self.bottom
            and self.left < other.right
            and other.left < self.right
        )

    def joined(self, other: "Rect") -> "Rect":
        """The smallest rectangle with both."""
        return Rect(
            min(self.top, other.top),
            max(self.bottom, other.bottom),
            min(self.left, other.left),
            max(self.right, other.right),
        )


def changed_cells(
    latents: Latents, shown: LatentFrame | None, tolerance: float | Tensor
) -> tuple[Bool[Tensor, "t h w"], LatentFrame]:
    """Where each frame differs from what is shown there, in any channel and any video of the batch.

    Latents are compared, not keep masks: a restorer may change kept tokens, and a kept token may come out as it was.
    What is compared with is the latent that a place changed to last, so that small changes do not add up unseen.

    Args:
        latents: consecutive frames.
        shown: what this returned for the frames before; None: there are none, and all of the first frame is new.
        tolerance: the largest difference that counts as none, in the units of the latents; may differ by channel.

    Returns:
        The changed cells of each frame, and the latents that are shown after the last one.
    """
    found = []
    for frame in latents.split(1, 1):
        if shown is None:
            shown = frame.clone()
            found.append(torch.ones_like(frame[0, 0, 0], dtype=torch.bool))
            continue
        # not `>`: NaN is a change
        changed = ~((frame - shown).abs() <= tolerance).all(2).all(0)[0]
        shown = torch.where(changed, frame, shown)
        found.append(changed)
    assert shown is not None
    return torch.stack(found), shown


def grown_cells(cells: Cells, halo: int) -> Cells:
    """A new mask with these cells and all that are at most `halo` rows and columns away."""
    return F.max_pool2d(cells[None].float(), 2 * halo + 1, stride=1, padding=halo)[0] > 0


class Cost(NamedTuple):
    """What a rectangle costs, in cells of a whole frame."""

    margin: float
    """Rows and columns that are computed besides its own."""
    each: float
    """Cells that could be decoded in the time that goes into calls, whatever its size."""

    def of(self, rect: Rect) -> float:
        """The cost of one rectangle."""
        return (rect.bottom - rect.top + self.margin) * (rect.right - rect.left + self.margin) + self.each


MOST_RUNS = 32
"""Rectangles before any are joined; each join looks at all pairs. Finer masks are coarsened."""


def rectangles(cells: Cells, cost: Cost) -> list[Rect]:
    """Rectangles without overlap that cover all given cells; they may hold others where that is cheaper.

    Args:
        cells: what must be covered.
        cost: of a rectangle; two are joined where their smallest common one costs less.
    """
    rows, cols = cells.shape
    size = 1
    while len(runs := _row_runs(cells)) > MOST_RUNS:
        cells = F.max_pool2d(cells[None].float(), 2, ceil_mode=True)[0] > 0
        size *= 2
    whole = Rect(0, rows, 0, cols)
    return _joined([run.scaled(size).clipped(whole) for run in runs], cost)


def _row_runs(cells: Cells) -> list[Rect]:
    """Runs of cells in a row; equal runs of consecutive rows are one rectangle."""
    edges = torch.diff(F.pad(cells.to("cpu", torch.int8), (1, 1)), dim=1)
    ends: dict[int, list[tuple[int, int]]] = {}
    for (row, left), (_, right) in zip((edges == 1).nonzero().tolist(), (edges == -1).nonzero().tolist()):
        ends.setdefault(row, []).append((left, right))
    done: list[Rect] = []
    unfinished: dict[tuple[int, int], int] = {}
    for row in range(cells.shape[0] + 1):
        runs = ends.get(row, [])
        done += [Rect(top, row, *run) for run, top in unfinished.items() if run not in runs]
        unfinished = {run: unfinished.get(run, row) for run in runs}
    return done


def _joined(rects: Sequence[Rect], cost: Cost) -> list[Rect]:
    """Join what costs less as one, the largest saving first, until nothing does."""
    rects = list(rects)
    while True:
        best, saving = None, 0.0
        for index, one in enumerate(rects):
            for other in rects[:index]:
                whole, swallowed = _closed(one.joined(other), rects)
                saved = sum(cost.of(rect) for rect in swallowed) - cost.of(whole)
                if saved > saving:
                    best, saving = (whole, swallowed), saved
        if best is None:
            return rects
        whole, swallowed = best
        rects = [rect for rect in rects if rect not in swallowed] + [whole]


def _closed(whole: Rect, rects: Sequence[Rect]) -> tuple[Rect, list[Rect]]:
    """A rectangle, grown until it cuts no other, and those that are inside."""
    while True:
        inside = [rect for rect in rects if rect.meets(whole)]
        grown = whole
        for rect in inside:
            grown = grown.joined(rect)
        if grown == whole:
            return whole, inside
        whole = grown
