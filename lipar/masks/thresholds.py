"""Thresholds that follow the video: a quantile of the distances, or whatever keeps a given fraction of the tokens."""

import attrs
import torch
from attrs.validators import and_, gt, lt
from torch import Tensor

from lipar.types import ChangeMap, KeepMask

LONG_OVER_SHORT = 2.0
"""tau_long over tau_short, as in the defaults of arXiv 2603.05811 (0.15 and 0.3)."""
GAIN = 0.5
LEAST_SHARE = 1 / 512


@attrs.define(eq=False, kw_only=True)
class AdaptiveThresholds:
    """tau_short of each block, as the quantile of its own distances that the share `1 - quantile` exceeds.

    With a target, that share is held by feedback instead. Refiners widen or shrink what is past the threshold, so
    after every decided block it is multiplied by exp(GAIN (target - kept) / target). The logarithm of the share sums
    up the errors, so that over N blocks the mean kept fraction is off its target by
    `target * |ln(last share / first share)| / (GAIN * N)`, which vanishes as long as the share stays in its range
    LEAST_SHARE .. 1. It leaves that range only where the target cannot be met: of a clip in which less changes than
    is to be kept, all that changes is kept.

    One instance serves a whole run, across scenes. Everything stays on the device; the host waits for nothing.
    """

    quantile: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(and_(gt(0.0), lt(1.0)))
    )
    target: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(and_(gt(0.0), lt(1.0)))
    )
    """Kept fraction to hold, over the frames that are not kept whole anyway."""
    _share: Tensor | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if (self.quantile is None) == (self.target is None):
            raise ValueError(f"give a quantile or a target, not both: got {self.quantile} and {self.target}")

    def of_block(self, distance: ChangeMap) -> tuple[Tensor, Tensor]:
        """tau_short and tau_long of a block, as scalar tensors, from its short-term distances."""
        if self._share is None:
            share = 1 - self.quantile if self.quantile is not None else self.target
            self._share = torch.tensor(share, dtype=torch.float32, device=distance.device)
        ranked = distance.flatten().sort().values
        # the largest value that at least the share exceeds, ties apart
        index = ((1 - self._share) * ranked.shape[0]).ceil().long().clamp(1, ranked.shape[0]) - 1
        tau_short = ranked[index]
        return tau_short, LONG_OVER_SHORT * tau_short

    def observe(self, keep_mask: KeepMask) -> None:
        """See what was decided for frames of a block that need not be kept whole."""
        if self.target is None or self._share is None or keep_mask.numel() == 0:
            return
        error = (self.target - keep_mask.float().mean()) / self.target
        self._share = (self._share * torch.exp(GAIN * error)).clamp(LEAST_SHARE, 1.0)
