"""Thresholds that follow the video: a quantile of the distances, or one that keeps a given fraction of the tokens."""

import attrs
import torch
from attrs.validators import and_, gt, lt
from torch import Tensor

from lipar.types import ChangeMap, KeepMask

LONG_OVER_SHORT = 2.0
"""tau_long over tau_short, as in the defaults of arXiv 2603.05811 (0.15 and 0.3)."""
GAIN = 0.5
"""Step of the feedback, on the logarithm of the share, for a relative error of 1."""
LEAST_SHARE = 1 / 512
"""Least share of distances above the threshold."""


@attrs.define(eq=False, kw_only=True)
class AdaptiveThresholds:
    """tau_short of each block: the quantile of its own distances that a share `1 - quantile` of them exceeds.

    With a target, the share is controlled by feedback instead. Refiners widen or shrink the mask after the threshold,
    so after every decided block the share is multiplied by exp(GAIN (target - kept) / target). The logarithm of the
    share thus sums up the errors, so that over N blocks the mean kept fraction differs from its target by
    `target * |ln(last share / first share)| / (GAIN * N)`, which vanishes as long as the share stays in its range
    LEAST_SHARE .. 1. It leaves that range only if the target cannot be met: if less of a clip changes than is to be
    kept, everything that changes is kept.

    One instance serves a whole run, across scenes. Everything stays on the device, so that the host never waits.
    """

    quantile: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(and_(gt(0.0), lt(1.0)))
    )
    """Fraction of the distances at or below the threshold, above 0 and below 1."""
    target: float | None = attrs.field(
        default=None, validator=attrs.validators.optional(and_(gt(0.0), lt(1.0)))
    )
    """Kept fraction to reach, over the frames that need not be kept in full; above 0 and below 1."""
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
        # the largest value that at least this share of the distances exceeds, ties apart
        index = ((1 - self._share) * ranked.shape[0]).ceil().long().clamp(1, ranked.shape[0]) - 1
        tau_short = ranked[index]
        return tau_short, LONG_OVER_SHORT * tau_short

    def observe(self, keep_mask: KeepMask) -> None:
        """Correct the share by the decided mask of a block, without the frames that are kept in full anyway."""
        if self.target is None or self._share is None or keep_mask.numel() == 0:
            return
        error = (self.target - keep_mask.float().mean()) / self.target
        self._share = (self._share * torch.exp(GAIN * error)).clamp(LEAST_SHARE, 1.0)
