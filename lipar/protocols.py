"""The base class of each kind of part that a plugin can register; what has a default there is optional.

A part is an attrs class: its fields are its options, set from the config file or `--set kind.option=value`. What a part
declares about itself (`needs`, `taus`, `fills`, ...) is a class attribute without an annotation, or a property where an
option decides. A registered class without the base class is given the defaults that it lacks
(`lipar.plugin.registry.complete`).

What the core requires of a loaded model is in `lipar.model`, and mergings and reuses are in `lipar.savings`; both can
be imported from here, too.
"""

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from pathlib import Path

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.attention.merge import Match
from lipar.catalogue.entry import Entry
from lipar.layout import TokenLayout
from lipar.masks.change import Change
from lipar.masks.measure import LatentReader, Measure, Reader, default_thresholds
from lipar.masks.source import SourceFormat
from lipar.memory.needs import MemoryNeeds, MemoryRun, OptionSwitch
from lipar.model import AttentionKernel, Autoencoder, BlockAttention, ForwardPass, Model, Pipeline
from lipar.part import Part, defaults
from lipar.plugin.facts import CAUSAL
from lipar.savings import LayerTokens, Merging, Reuse, StepPrediction
from lipar.spec import ModelSpec
from lipar.types import ChangeMap, Features, Heads, Indices, KeepMask, shaped

__all__ = [
    "Adapter",
    "AttentionKernel",
    "Autoencoder",
    "BlockAttention",
    "Change",
    "ClipAdapter",
    "Criterion",
    "Donation",
    "ForwardPass",
    "LayerTokens",
    "Match",
    "Merging",
    "Model",
    "NoiseSource",
    "Part",
    "Pipeline",
    "Recovery",
    "RecoveryPlan",
    "Refiner",
    "Restorer",
    "Reuse",
    "StepPrediction",
    "StreamingAdapter",
]

# --- deciding what to prune -------------------------------------------------------------------------------------


@defaults
class Criterion(Part):
    """Measures how far tokens are from their reference.

    Only `__call__` must be written. Without `taus` or `l1_ratio` the user has to set the thresholds.
    """

    __slots__ = ()

    @property
    def taus(self) -> tuple[float, float] | None:
        """Default thresholds, short and long, in units that do not depend on the autoencoder."""
        return None

    @property
    def l1_ratio(self) -> float | None:
        """Usual size of its distances relative to those of `l1`, whose thresholds each autoencoder has calibrated."""
        return None

    @abstractmethod
    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """Distance of each token, at least 0; called for the frame before (short term) and the long-term reference."""

    def reader(self, source: SourceFormat) -> Reader:
        """A new reader for one run; override it to compare something else than the latents."""
        return LatentReader(source.patch_size)

    def measure(self, source: SourceFormat) -> Measure:
        """The criterion ready for a run; override it only in a criterion that is made of others."""
        tau_short, tau_long = default_thresholds(self.taus, self.l1_ratio, source)
        return Measure(
            read=self.reader(source), short=self, long=self, tau_short=tau_short, tau_long=tau_long
        )


@defaults
class Refiner(Part):
    """One step from distances to a mask; refiners run in the order of the config.

    A refiner receives `past_frames + n + future_frames` frames and returns the `n` in the middle; the mask stream
    supplies that halo, fills the border of a scene as `border` says, and delays its output by `future_frames`. A
    refiner keeps no state.
    """

    __slots__ = ()

    @property
    def past_frames(self) -> int:
        """Frames before a frame that its result depends on, 0..1000."""
        return 0

    @property
    def future_frames(self) -> int:
        """Frames after a frame that its result depends on, 0..1000."""
        return 0

    @property
    def border(self) -> str:
        """The halo before the first and after the last frame of a scene: copies (`replicate`) or zeros (`zero`)."""
        return "replicate"

    @property
    def of_blocks(self) -> bool:
        """Receive whole blocks, without a halo, after all other refiners; such refiners come last in the config."""
        return False

    @property
    def monotone(self) -> bool:
        """A larger input mask never gives a smaller output; the contract then checks this."""
        return False

    @property
    def rounds_up(self) -> bool:
        """It only adds tokens up to a size, so that passes have few sizes; with equal distances, too.

        Such refiners are asked once more where an edit's mask has taken tokens out of a block.
        """
        return False

    @abstractmethod
    def __call__(self, change: Change) -> Change:
        """Refine the frames that have their whole halo, `past_frames + future_frames` fewer than given."""


# --- forward passes ---------------------------------------------------------------------------------------------


@attrs.frozen(eq=False, kw_only=True)
class Donation:
    """What a noise source gets of one layer when it is asked for donors. Keys are un-rotated."""

    layer_idx: int
    """Index of the transformer block."""
    forward_pass: ForwardPass
    """The denoise step."""
    layout: TokenLayout
    """Which tokens of the block are kept."""
    places: Tensor
    """The pruned places that need donors, ascending."""
    history_k: Tensor | None
    """Clean keys of the frame before the block, `b position heads head_dim`; None at the start of a scene."""
    history_v: Tensor | None
    """Clean values of that frame, likewise."""
    k: Tensor
    """Keys of the kept tokens in this very pass, `b n heads head_dim`."""
    v: Tensor
    """Values of the kept tokens, likewise."""


@defaults
class NoiseSource(Part):
    """Whose keys and values stand in for the pruned tokens.

    One instance serves one run; it may keep a small store of its own. Only `donors` must be written. The other defaults
    fit donors from the frame before the block.
    """

    __slots__ = ()

    @property
    def per_step(self) -> bool:
        """False: the donors of a block are the same at every step, so they are written once per block."""
        return False

    def ready(self, layout: TokenLayout) -> bool:
        """Whether there are donors for this block; otherwise its pruned tokens are absent from attention."""
        return layout.has_history

    @abstractmethod
    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Un-rotated keys and values for `donation.places`, `b places heads head_dim`."""

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """The frame of each place's donor, counted from the block's first; -1 is the frame before the block."""
        return torch.full_like(places, -1)

    def observe(self, donation: Donation) -> None:
        """Read the kept keys and values of a denoise pass; called for every layer, after `donors`."""

    def observe_clean(self, donation: Donation) -> None:
        """Read the kept keys and values of the clean pass, at the end of a block; called for every layer."""

    def skip(self, layout: TokenLayout) -> None:
        """A block without a kept token went by, without a pass: what is stored by position moves with its `origins`."""

    def donor_rows(self, layout: TokenLayout, places: Indices) -> Indices | None:
        """Where the donors of a block are, for the fast engines: they then gather, shift, rotate and write at once.

        Row of each place's donor in [frame before the block | kept tokens of the pass]; the first of these only if the
        layout has history. With it, `donors` must give those rows, of the kept tokens as `donor_states` changes them,
        and with `donor_shift` added to the ones before the block. None: `donors` is called in every layer instead.
        """
        return None

    def donor_states(self, donation: Donation) -> tuple[Heads, Heads]:
        """Keys and values of the kept tokens as donors, `b n heads head_dim` each; see `donor_rows`."""
        return donation.k, donation.v

    def donor_shift(self, donation: Donation) -> tuple[Tensor, Tensor] | None:
        """What is added to keys and values of the frame before the block, `b 1 heads head_dim`; see `donor_rows`."""
        return None

    def replay_key(self) -> Hashable | None:
        """What the next pass of this source depends on, besides tensors at addresses that stay the same.

        A CUDA graph runs a recorded pass again without Python. That is the same as running the pass only if the source
        keeps its tensors where they are, writes them in place, reads of a layout its tensors and its number of kept
        tokens alone, and has a state of Python that a pass leaves as it is; the key is that state. None: passes with
        this source are not recorded.
        """
        return None

    def reset(self) -> None:
        """Forget everything: a new video or scene begins."""

    def frames_held(self, block_frames: int) -> int:
        """Frames of keys and values that it stores for every layer and denoise step, to estimate memory."""
        return 0


@attrs.frozen(eq=False, kw_only=True)
class RecoveryPlan:
    """Which places of a block kept queries attend to, and where their keys are rotated to."""

    present: Tensor | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(KeepMask)))
    """None: all places. Kept tokens that are not present are computed but not attended to."""
    rotate_to_donor: bool = False
    """True: a copy keeps its donor's position instead of taking the pruned token's own."""
    bias: Tensor | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(ChangeMap)))
    """What is added to the score of each place, `t rows cols`; not read where a place is not present.

    None: nothing. Give None, not zeros, where nothing is weighed: a bias costs another attention kernel, whose result
    differs in its last bits. A recovery that gives one declares `needs = frozenset({"attention-bias"})`.
    """


@defaults
class Recovery(Part):
    """How the attention of the kept tokens is corrected for the pruned ones."""

    __slots__ = ()

    @property
    def fills(self) -> bool:
        """False: pruned tokens are absent from attention and from the KV cache."""
        return True

    @abstractmethod
    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """Decide once per block; the plan depends on the layout alone."""


@defaults
class Restorer(Part):
    """Makes full latents from kept ones."""

    __slots__ = ()

    @property
    def changes_kept(self) -> bool:
        """False: kept tokens come back as they are."""
        return False

    @abstractmethod
    def __call__(
        self, layout: TokenLayout, history: Float[Tensor, "b position d"] | None, kept: Float[Tensor, "b n d"]
    ) -> Float[Tensor, "b places d"]:
        """Tokens of the whole block; `history` is the restored frame before it."""


# --- models -----------------------------------------------------------------------------------------------------


@defaults
class Adapter(ABC):
    """A family of models: its fields say where the weights are, `load` makes a model of them.

    Subclass `StreamingAdapter` for a model that `lipar edit` runs block by block, `ClipAdapter` for a pipeline that
    generates a clip in a single pass.
    """

    __slots__ = ()

    @property
    def gives(self) -> frozenset[str]:
        """Facts of `lipar.plugin.facts` that parts can rely on."""
        return CAUSAL

    @classmethod
    def about(cls) -> str:
        """Some lines for `lipar models show`: what it needs, what it knows."""
        return ""

    @classmethod
    def catalogue(cls) -> Sequence[Entry]:
        """Released models that it runs, for `lipar models` and as names for `--model`; read from a data file.

        An adapter with entries has two options: `weights`, the name of the entry whose files it reads where no file is
        named by another option, and `model_dir`, a folder of models; `lipar.catalogue.places.look_for` finds the files.
        """
        return ()

    def weight_files(self) -> Sequence[Path]:
        """Files and folders that `load` reads; none: the model is made of the options alone.

        By their content `lipar batch` and `lipar edit` of several clips know whether a finished result was made with
        the same weights.
        """
        return ()

    @abstractmethod
    def load(self, device: torch.device, dtype: torch.dtype) -> Model | Pipeline:
        """Load weights; a subclass says what it returns.

        Raises:
            FileNotFoundError: no weights at the given place.
            ValueError: they are not of this family.
        """


class StreamingAdapter(Adapter):
    """A family of causal models, which denoise a video block by block."""

    __slots__ = ()

    def spec(self) -> ModelSpec | None:
        """The model's blocks, KV cache and autoencoder, without reading weights; None: not known before loading.

        With it, `lipar check` and `lipar edit` refuse before loading what the model would refuse. Where files are
        missing it raises what `load` would.
        """
        return None

    def memory_needs(self, run: MemoryRun) -> MemoryNeeds | None:
        """What a run will keep in memory, read from files' headers and the config; None: not known.

        With it, `lipar edit` warns before loading, and `lipar check --memory` prints the terms. Raises what `load`
        would where files are missing or options do not fit together.

        Args:
            run: what will be run.
        """
        return None

    def memory_plenty(self, run: MemoryRun) -> int | None:
        """Free bytes with which a run fits for sure, so that `lipar edit` need not ask; None: it asks each time.

        For small models, whose start would be delayed for nothing.

        Args:
            run: what will be run.
        """
        return None

    def memory_switches(self, run: MemoryRun) -> Sequence[OptionSwitch]:
        """Changes of its options that could make the run smaller; each is tried by `memory_needs`.

        Args:
            run: what will be run.
        """
        return ()

    def why_eager(self) -> str | None:
        """Why, with its options, layers can neither be compiled nor recorded; None: they can, or it is not known.

        With it, `lipar edit` refuses the engines `compiled` and `graphs` before loading.
        """
        return None

    @abstractmethod
    def load(self, device: torch.device, dtype: torch.dtype) -> Model:
        """Load weights.

        Raises:
            FileNotFoundError: no weights at the given place.
            ValueError: they are not of this family.
        """

    def load_without_transformer(self, device: torch.device, dtype: torch.dtype) -> Model | None:
        """A model that decides masks as that of `load` does, and cannot denoise; None: the adapter has none.

        With it, `lipar plan` does not read the transformer's weights. It needs the autoencoder and the other
        attributes of a `Model`; `forward` raises. Raises what `load` would where files are missing.
        """
        return None


class ClipAdapter(Adapter):
    """A family of models that generate a whole clip in a single pass, by a pipeline of their own library.

    Use it by a command of its own, or by `lipar.enable` on the pipeline.
    """

    __slots__ = ()

    @abstractmethod
    def load(self, device: torch.device, dtype: torch.dtype) -> Pipeline:
        """Load a pipeline.

        Raises:
            FileNotFoundError: no weights at the given place.
            ValueError: they are not of this family.
        """
