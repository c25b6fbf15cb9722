"""Masks of a calibration: each block keeps a given share of its tokens."""

import attrs
import torch

from lipar.hookspecs import hookimpl
from lipar.job import Job
from lipar.layout import TokenLayout
from lipar.masks.change import Change
from lipar.types import KeepMask
from lipar_lab.bench.random_masks import random_mask


@attrs.define(eq=False)
class GivenShare:
    """A plugin that keeps the share that is set at that moment; the mask of the chosen parts is decided, too."""

    share: float = 1.0
    """Fraction of the tokens of the next block, 0..1; the first block of a scene is kept in full."""
    _blocks: int = attrs.field(default=0, init=False)

    @hookimpl
    def lipar_prune(self, job: Job, first_frame: int) -> TokenLayout:
        """A random mask of the share, in regions as moving objects give them."""
        grid = job.masks.decide().shape
        self._blocks += 1
        share = 1.0 if job.history is None else self.share
        mask = random_mask((grid[0], grid[1], grid[2]), share, seed=self._blocks).to(job.model.device)
        return TokenLayout(_rounded(job, mask), first_frame=first_frame, has_history=job.history is not None)


def _rounded(job: Job, mask: KeepMask) -> KeepMask:
    """The mask after the refiners of whole blocks: engines that record passes allow few numbers of tokens."""
    if not mask.any():
        return mask
    distance = torch.zeros(mask.shape, device=mask.device)
    change = Change(
        distance=distance, raw=distance, long_term=distance, keep=mask, tau_short=1.0, tau_long=1.0
    )
    for refiner in job.parts.refiners:
        if refiner.of_blocks:
            change = refiner(change)
    assert change.keep is not None
    keep_mask: KeepMask = change.keep
    return keep_mask
