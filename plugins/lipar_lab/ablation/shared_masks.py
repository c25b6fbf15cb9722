"""Keep masks with a wanted kept fraction, made once for each clip and shared by all rows."""

import functools
from collections.abc import Callable

import attrs
import torch
from jaxtyping import Bool
from torch import Tensor

from lipar.config import Config
from lipar.hookspecs import hookimpl
from lipar.job import Job, Parts
from lipar.layout import TokenLayout
from lipar.masks.measure import Measure, needed_thresholds
from lipar.masks.stream import clip_mask
from lipar.types import Features, KeepMask, Latents

_LOWEST, _HIGHEST = -14.0, 8.0
"""Bounds of log2 of the factor by which both thresholds are multiplied."""


@attrs.frozen(eq=False, kw_only=True)
class RatedMask:
    """A mask of a whole clip, and how it was reached."""

    keep_mask: KeepMask
    kept: float
    """Kept fraction of the blocks after the first, which is always kept in full."""
    factor: float
    """Factor by which both thresholds were multiplied."""


def mask_by(
    factor: float, features: Features, *, config: Config, measure: Measure, parts: Parts, block_frames: int
) -> RatedMask:
    """The mask of a clip with both thresholds multiplied by `factor`.

    Args:
        factor: above 0.
        features: features that `measure` has read from the clip, in whole blocks.
        config: its `prune` decides what frames are compared with.
        measure: the criterion, with its thresholds.
        parts: the refiners, and the checks of their answers.
        block_frames: latent frames of a block.

    Raises:
        ValueError: the criterion has no thresholds.
    """
    tau_short, tau_long = needed_thresholds(measure, config.criterion.name)
    keep_mask = clip_mask(
        features,
        measure.short,
        parts.refiners,
        tau_short=tau_short * factor,
        tau_long=tau_long * factor,
        block_frames=block_frames,
        reference=config.prune.long_reference,
        long_criterion=measure.long,
    )
    parts.checks.settle()
    kept = float(keep_mask[block_frames:].float().mean())
    return RatedMask(keep_mask=keep_mask, kept=kept, factor=factor)


def mask_at_rate(wanted: float, mask_at: Callable[[float], RatedMask], *, halvings: int = 16) -> RatedMask:
    """The mask whose kept fraction after the first block is closest to `wanted`, by bisection of the thresholds.

    The kept fraction falls almost monotonically with the thresholds. Where it jumps past `wanted`, the closest of the
    masks that were tried is taken.

    Args:
        wanted: kept fraction, above 0 and at most 1.
        mask_at: returns the mask with both thresholds multiplied by a factor.
        halvings: number of masks to try.
    """
    low, high = _LOWEST, _HIGHEST
    met = []
    for _ in range(halvings):
        middle = (low + high) / 2
        met.append(mask_at(2**middle))
        low, high = (middle, high) if met[-1].kept > wanted else (low, middle)
    return min(met, key=lambda rated: abs(rated.kept - wanted))


@attrs.frozen(eq=False)
class MaskMaker:
    """Makes the shared masks of one clip at one value of every axis."""

    mask_at: Callable[[float], RatedMask]
    """The mask with both thresholds multiplied by a factor."""
    _made: dict[float, RatedMask] = attrs.field(factory=dict, init=False)

    def at(self, kept: float) -> RatedMask:
        """The mask whose kept fraction is closest to a wanted one; made once."""
        if kept not in self._made:
            self._made[kept] = mask_at_rate(kept, self.mask_at)
        return self._made[kept]

    @functools.cached_property
    def natural_kept(self) -> float:
        """Kept fraction at the config's own thresholds, of the blocks after the first."""
        return self.mask_at(1.0).kept


def random_like(keep_mask: KeepMask, seed: int) -> KeepMask:
    """A mask that keeps the same number of tokens in every frame, at random places."""
    generator = torch.Generator().manual_seed(seed)
    shuffled = [frame.flatten()[torch.randperm(frame.numel(), generator=generator)] for frame in keep_mask]
    return torch.stack(shuffled).view_as(keep_mask)


def enlarged(keep_mask: KeepMask, size: int) -> Bool[Tensor, "t h w"]:
    """The mask with `size` x `size` entries for every token, at the resolution of latents or of pixels."""
    return keep_mask.repeat_interleave(size, 1).repeat_interleave(size, 2)


@attrs.define(eq=False)
class SharedMasks:
    """A plugin that prunes by a given mask."""

    keep_mask: KeepMask
    """Mask of the whole clip."""

    @hookimpl
    def lipar_prune(self, job: Job, source: Latents, first_frame: int) -> TokenLayout:
        """The mask's frames of this block."""
        block = self.keep_mask[first_frame : first_frame + source.shape[1]]
        return TokenLayout(
            block.to(source.device), first_frame=first_frame, has_history=job.history is not None
        )
