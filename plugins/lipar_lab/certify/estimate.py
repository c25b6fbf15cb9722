"""An estimate of donors' differences from the source latents, which needs no dense pass.

A line maps the distance between the source latents of a place and of its donor to the difference of their keys or
values. There is one line per layer, denoise step, kind and head, fitted on the first block that is certified.
"""

import attrs
import torch
from torch import Tensor

from lipar.layout import TokenLayout
from lipar.types import Features

Line = tuple[int, int, str]
"""Layer, denoise step, and `k` or `v`."""


@attrs.define(eq=False)
class DifferenceEstimate:
    """The lines of a run, and the source latents of the current block."""

    _lines: dict[Line, tuple[Tensor, Tensor]] = attrs.field(factory=dict, init=False)
    _before: Features | None = attrs.field(default=None, init=False)
    _source: Features | None = attrs.field(default=None, init=False)

    def start_block(self, source: Features, *, has_history: bool) -> None:
        """Take the source of the next block.

        Args:
            source: token features of the block's source latents.
            has_history: whether the block continues the scene of the block before it.
        """
        self._before = None if not has_history or self._source is None else self._source[-1:]
        self._source = source

    @property
    def ready(self) -> bool:
        """Whether the frame before the block, where donors come from, is known."""
        return self._before is not None

    def source_distance(self, times: Tensor, layout: TokenLayout) -> Tensor:
        """Distance of the source latents of each pruned place from those of its donor, `places`.

        Args:
            times: frames of the donors relative to the block, as `NoiseSource.donor_times` returns them.
            layout: layout of the block.
        """
        assert self._before is not None and self._source is not None
        tokens = torch.cat([self._before, self._source]).flatten(0, 2)
        donor = (times + 1) * layout.tokens_per_frame + layout.position_at(layout.pruned, times)
        off = tokens[layout.pruned + layout.tokens_per_frame] - tokens[donor]
        distance: Tensor = off.norm(dim=-1)
        return distance

    def guess(self, line: Line, distance: Tensor, delta: Tensor) -> Tensor | None:
        """Estimated differences, `b places heads`, at least 0; None if this call fits the line.

        The line is the least squares fit among those that neither fall nor start below 0, raised until it lies above
        all differences of the block it is fitted on.

        Args:
            line: which line.
            distance: `places`, from `source_distance`.
            delta: true differences, `b places heads`; used only if this call fits the line.
        """
        if line in self._lines:
            slope, offset = self._lines[line]
            return offset + slope * distance[:, None]
        spread = distance - distance.mean()
        free, through_zero = (
            torch.einsum("p, b p h -> b h", x, delta) / x.square().sum().clamp(min=1e-12)
            for x in (spread, distance)
        )
        # with the steeper of the two, the line would be below 0 at distances smaller than any in this block
        slope = torch.minimum(free, through_zero).clamp(min=0)[:, None]
        offset = (delta - slope * distance[:, None]).amax(dim=1, keepdim=True)
        self._lines[line] = slope, offset.clamp(min=0)
        return None
