"""What hooks receive: the chosen parts and the state of a run, and a finished block."""

import attrs
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.config import Config
from lipar.engines.engine import Engine
from lipar.layout import TokenLayout
from lipar.masks.feed import MaskFeed
from lipar.masks.may_change import MaskedLayouts
from lipar.plugin.checks import Checks
from lipar.protocols import Criterion, Merging, Model, NoiseSource, Recovery, Refiner, Restorer, Reuse
from lipar.types import KeepMask, Latents, shaped


@attrs.frozen(kw_only=True)
class Parts:
    """One instance of every part that a run uses, the adapter excepted; each inside its guard."""

    criterion: Criterion
    refiners: tuple[Refiner, ...]
    recovery: Recovery
    noise: NoiseSource
    restorer: Restorer
    merging: Merging | None = None
    """Merges tokens in self-attention; None: no tokens."""
    reuse: Reuse | None = None
    """Says which kept tokens each denoise step computes; None: all of them."""
    checks: Checks = attrs.field(factory=Checks)
    """Checks of the parts' answers that are still open, so that a GPU is not waited for at each; the scheduler settles
    them at the end of every block."""

    @property
    def future_frames(self) -> int:
        """How many frames the chosen parts look ahead."""
        return sum(refiner.future_frames for refiner in self.refiners)


@attrs.define(eq=False, kw_only=True)
class Job:
    """The parts and the state of one run; read-only for hooks."""

    config: Config
    parts: Parts
    model: Model
    cache: KVCache
    engine: Engine
    """Runs the model's passes."""
    masks: MaskFeed
    """Gives the mask of the current block by the chosen criterion and refiners."""
    masked: MaskedLayouts = attrs.field(factory=MaskedLayouts)
    """Restricts layouts to what a mask says may change."""
    context: BlockContext | None = None
    """Self-attention of the current block; None before the first block that is computed."""
    history: Tensor | None = None
    """Tokens of the restored frame before the block, `1 position features`; None at the start of a scene."""
    prompt: str | None = None
    """The prompt of the current block; None where the run was not given its prompts."""
    probing: bool = False
    """Whether the current block is being run dense only to be timed."""

    @property
    def patch_size(self) -> int:
        """Latent rows and columns of a token."""
        return self.model.patch_size


@attrs.frozen(eq=False, kw_only=True)
class RestoredBlock:
    """A finished block."""

    latents: Latents
    """All frames of the block, in the scale the DiT sees; pruned tokens are restored."""
    layout: TokenLayout
    """Which tokens were computed."""
    first_frame: int
    """Index of the block's first latent frame in the video."""
    seconds: float
    """Time of context, denoise steps, restoring and clean pass."""
    dense_seconds: float | None
    """Time of denoise steps and clean pass with every token kept; None where the block was not run dense as well."""
    new_prompt: str | None = None
    """The prompt that took effect with this block; None: it is that of the block before."""
    cut: int | None = None
    """Offset in the block of the frame with which a new scene begins, 0 in the first block; None where none does."""
    may_change: Tensor | None = attrs.field(
        default=None, validator=attrs.validators.optional(shaped(KeepMask))
    )
    """Tokens that the source's mask lets change, on the host; None: there was no mask."""


@attrs.frozen(eq=False, kw_only=True)
class PlannedBlock:
    """A block whose tokens are chosen and not computed; see `lipar.Scheduler.plan`."""

    layout: TokenLayout
    """Which tokens a run computes."""
    first_frame: int
    """Index of the block's first latent frame in the video."""
    context_frames: int
    """Latent frames that its clean pass attends to, its own included; 0 where there is none: at strength 0, and where
    nothing may change."""
    context_rows: int
    """Rows of the KV cache that these have; fewer than their tokens where pruned tokens have none."""
