"""What one run is made of, as hooks see it: the chosen parts, the job, and a finished block."""

import attrs
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.config import Config
from lipar.layout import TokenLayout
from lipar.masks.feed import MaskFeed
from lipar.masks.measure import Measure
from lipar.masks.thresholds import AdaptiveThresholds
from lipar.plugin.checks import Checks
from lipar.protocols import Criterion, Model, NoiseSource, Recovery, Refiner, Restorer
from lipar.types import Latents


@attrs.frozen(kw_only=True)
class Parts:
    """One instance of every part that a run uses, the adapter excepted; each behind its guard."""

    criterion: Criterion
    refiners: tuple[Refiner, ...]
    recovery: Recovery
    noise: NoiseSource
    restorer: Restorer
    checks: Checks = attrs.field(factory=Checks)
    """What is still to be known about their answers; whoever runs them settles it where a block ends."""

    @property
    def future_frames(self) -> int:
        """How many frames the chosen parts look ahead."""
        return sum(refiner.future_frames for refiner in self.refiners)


@attrs.define(eq=False, kw_only=True)
class Job:
    """The parts and the state of one run; hooks read it and leave it."""

    config: Config
    parts: Parts
    model: Model
    cache: KVCache
    measure: Measure
    """The chosen criterion, ready for this run."""
    adaptive: AdaptiveThresholds | None
    """What gives the thresholds, unless they are fixed."""
    masks: MaskFeed
    context: BlockContext | None = None
    """Self-attention of the block at hand."""
    history: Tensor | None = None
    """Tokens of the restored frame before the block, `1 position features`; None at the start of a scene."""
    probing: bool = False
    """Whether the block at hand is being run dense only to be timed."""

    @property
    def patch_size(self) -> int:
        return self.model.patch_size


@attrs.frozen(eq=False, kw_only=True)
class RestoredBlock:
    """A finished block."""

    latents: Latents
    layout: TokenLayout
    first_frame: int
    seconds: float
    """Denoising and clean pass."""
    dense_seconds: float | None
    """The same with every token kept, where the block was probed."""
