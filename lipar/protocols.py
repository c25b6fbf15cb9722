"""What a part must offer, for each of the six kinds that a plugin can register.

A part is an attrs class: its fields are its options, set from the config file or `--set kind.option=value`.
In addition a part may have `needs`, and an adapter and its model `gives`: facts of `lipar.plugin.compatibility`.
"""

from collections.abc import Callable, Sequence
from typing import Protocol, runtime_checkable

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.attention.rope import RotaryEmbedding
from lipar.layout import TokenLayout
from lipar.types import ChangeMap, Features, Heads, Indices, KeepMask, Latents, PixelFrames, shaped

# --- deciding what to prune -------------------------------------------------------------------------------------


@runtime_checkable
class Criterion(Protocol):
    """How far tokens are from their reference.

    Optional, as class attributes: `taus`, default thresholds in units that no autoencoder changes, or `l1_ratio`, the
    usual size of its distances over those of `l1`, for which an autoencoder's thresholds are calibrated (see
    `lipar.masks.measure.default_thresholds`). One that compares something else than latents has a `reader`
    (`lipar.masks.measure.ReadsSource`).
    """

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """Distance per token, at least 0; called for the frame before (short term) and the long-term reference."""
        ...


@attrs.frozen(eq=False, kw_only=True)
class Change:
    """What refiners pass on: the distances of some consecutive frames and, once thresholded, their mask.

    `distance` is what refiners before the threshold may smooth, `raw` is never touched, `long_term` is the
    distance to the long-term reference (0 where a frame has none). Thresholds are in the units of the criterion;
    adaptive ones are scalar tensors, so that the host need not wait for them.
    """

    distance: Tensor = attrs.field(validator=shaped(ChangeMap))
    raw: Tensor = attrs.field(validator=shaped(ChangeMap))
    long_term: Tensor = attrs.field(validator=shaped(ChangeMap))
    keep: Tensor | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(KeepMask)))
    tau_short: float | Tensor
    tau_long: float | Tensor

    @property
    def frames(self) -> int:
        return self.distance.shape[0]

    def inner(
        self,
        past_frames: int,
        future_frames: int,
        *,
        distance: Tensor | None = None,
        keep: Tensor | None = None,
    ) -> "Change":
        """The frames between a halo, which a refiner answers for, with its answers in their place."""
        inner = slice(past_frames, self.frames - future_frames)
        if keep is None and self.keep is not None:
            keep = self.keep[inner]
        return attrs.evolve(
            self,
            distance=self.distance[inner] if distance is None else distance,
            raw=self.raw[inner],
            long_term=self.long_term[inner],
            keep=keep,
        )


@runtime_checkable
class Refiner(Protocol):
    """One step from distances to a mask; refiners run in the order of the config.

    A refiner sees `past_frames + n + future_frames` frames and answers for the `n` in the middle; the mask
    stream supplies that halo, repeats the border as `border` says at both ends of a scene, and delays its
    output by `future_frames`. A refiner keeps no state. One with `monotone = True` keeps no less of a mask that keeps
    more, which its contract then checks.

    A refiner with the attribute `of_blocks = True` sees whole blocks instead, without a halo, when everything else
    is decided about them; such refiners come last.
    """

    @property
    def past_frames(self) -> int: ...

    @property
    def future_frames(self) -> int: ...

    @property
    def border(self) -> str:
        """`replicate`, or `zero`: what stands before the first and after the last frame of a scene."""
        ...

    def __call__(self, change: Change) -> Change:
        """Answer for the frames that have their whole halo, `past_frames + future_frames` fewer than came."""
        ...


# --- forward passes ---------------------------------------------------------------------------------------------


@attrs.frozen(kw_only=True)
class ForwardPass:
    """One run of the model over a block."""

    step: int
    """Index of the denoise step; -1 for the clean pass."""
    sigma: float
    """Noise level of the block's latents, 1 is pure noise; 0 for the clean pass."""
    timestep: float
    """What the model is told, 0..1000."""

    @classmethod
    def at(cls, step: int, sigma: float) -> "ForwardPass":
        """The pass at a noise level; the timestep is 1000 sigma in float32, as Self-Forcing computes it."""
        return cls(step=step, sigma=sigma, timestep=float(torch.tensor(sigma, dtype=torch.float32) * 1000))

    @property
    def clean(self) -> bool:
        """Whether this pass writes the KV cache."""
        return self.step < 0


@attrs.frozen(eq=False, kw_only=True)
class Donation:
    """What a noise source sees of one layer when it is asked for donors. Keys are un-rotated."""

    layer_idx: int
    forward_pass: ForwardPass
    layout: TokenLayout
    places: Tensor
    """The pruned places that need donors, ascending."""
    history_k: Tensor | None
    """Clean keys of the frame before the block, `b position heads head_dim`; None at the start of a scene."""
    history_v: Tensor | None
    k: Tensor
    """Keys of the kept tokens in this very pass, `b n heads head_dim`."""
    v: Tensor


@runtime_checkable
class NoiseSource(Protocol):
    """Whose keys and values stand in for the pruned tokens.

    One instance serves one run; it may keep a small store of its own. One that keeps whole frames says how many with
    a method `frames_held(block_frames: int) -> int`: frames of keys and values, for every layer and denoise step.
    """

    per_step: bool
    """False: the donors of a block are the same at every step, so they are written once per block."""

    def ready(self, layout: TokenLayout) -> bool:
        """Whether there are donors for this block; without, its pruned tokens are absent from attention."""
        ...

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Un-rotated keys and values for `donation.places`, `b places heads head_dim`."""
        ...

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """When each place's donor stood, in frames counted from the block's first; -1 is the frame before."""
        ...

    def observe(self, donation: Donation) -> None:
        """See the kept keys and values of a denoise pass, after `donors` was asked; called for every layer."""
        ...

    def reset(self) -> None:
        """Forget everything: a new video or scene begins."""
        ...


@attrs.frozen(eq=False, kw_only=True)
class RecoveryPlan:
    """Which places of a block kept queries attend to, and where their keys are rotated to."""

    present: Tensor | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(KeepMask)))
    """None: all places. Kept tokens that are not present are computed but not attended to."""
    rotate_to_donor: bool = False
    """True: a copy keeps its donor's position instead of taking the pruned token's own."""
    bias: Tensor | None = attrs.field(default=None, validator=attrs.validators.optional(shaped(ChangeMap)))
    """What is added to the score of each place, `t rows cols`; not read where a place is not present.

    None: nothing. Give None, not zeros, where nothing is weighed: a bias costs another attention kernel, of other
    bits. A recovery that gives one declares `needs = frozenset({"attention-bias"})`.
    """


@runtime_checkable
class Recovery(Protocol):
    """How the attention of the kept tokens is corrected for the pruned ones."""

    fills: bool
    """False: pruned tokens are absent from attention and from the KV cache."""

    def plan(self, layout: TokenLayout) -> RecoveryPlan:
        """Decide once per block."""
        ...


@runtime_checkable
class Restorer(Protocol):
    """Full latents from kept ones, which it leaves as they are unless it has `changes_kept = True`."""

    def __call__(
        self, layout: TokenLayout, history: Float[Tensor, "b position d"] | None, kept: Float[Tensor, "b n d"]
    ) -> Float[Tensor, "b places d"]:
        """Tokens of the whole block; `history` is the restored frame before it."""
        ...


# --- models -----------------------------------------------------------------------------------------------------

AttentionKernel = Callable[..., Tensor]
"""Plain scaled dot-product attention on `b n heads head_dim` queries and `b m heads head_dim` keys and values.

Called as `kernel(q, k, v)`; with a recovery that weighs its copies as `kernel(q, k, v, bias)`, `bias` being a
`1 1 1 m` tensor of q's type that is added to the scores. A model whose kernel cannot take one does not give the
fact "attention-bias".
"""


@runtime_checkable
class BlockAttention(Protocol):
    """Self-attention of one pass over one block, in the hands of the core; a model's layers call it."""

    layout: TokenLayout

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel) -> Heads:
        """Output of self-attention for the kept tokens, from their un-rotated queries, keys and values."""
        ...


@runtime_checkable
class Autoencoder(Protocol):
    """Pixel frames to latents and back, in pieces, with bounded memory."""

    spatial_factor: int
    latent_channels: int
    first_pixel_frames: int
    """Pixel frames that make the first latent frame of a stream (1 for Wan, 4 for TAEHV)."""
    next_pixel_frames: int
    """Pixel frames for every further latent frame."""
    tau_short: float
    """Default thresholds of the `l1` criterion, calibrated to these latents' noise floor."""
    tau_long: float

    def encoder(self) -> Callable[[PixelFrames], Latents]:
        """A fresh stream; each call takes the pixel frames of whole latent frames."""
        ...

    def decoder(self) -> Callable[[Latents], PixelFrames]:
        """A fresh stream."""
        ...


@runtime_checkable
class Model(Protocol):
    """A loaded causal video diffusion transformer, as the scheduler drives it."""

    block_frames: int
    patch_size: int
    """Latent rows and columns of a token."""
    num_layers: int
    rope: RotaryEmbedding
    latent_channels: int
    home_pixels: int
    """Pixels of a frame at the size the model was trained on."""
    autoencoder: Autoencoder | None
    sink_frames: int
    """The KV cache that the model was trained with; see `lipar.attention.kv_cache.KVCache`."""
    window_frames: int

    @property
    def device(self) -> torch.device: ...

    @property
    def dtype(self) -> torch.dtype: ...

    def set_prompt(self, prompt: str) -> None:
        """Encode the prompt (and what guidance needs beside it) for the next blocks."""
        ...

    def sigmas(self, strength: float | None, steps: Sequence[int] | None = None) -> Sequence[float]:
        """Noise levels of the denoise steps, falling.

        Args:
            strength: step index / 1000, before the shift, to begin at; None: all of text-to-video.
            steps: step indices of 1000 to take, as they are, instead of the model's own list; strength 0 gives none
                all the same.
        """
        ...

    def forward(self, latents: Latents, forward_pass: ForwardPass, attention: BlockAttention) -> Latents:
        """Flow (noise - clean) of the kept tokens of one video, zeros at pruned places.

        Guidance branches are the model's own matter: they share the layout, and `attention` sees them on axis b.
        """
        ...


@runtime_checkable
class Adapter(Protocol):
    """A family of models: its fields say where the weights are, `load` makes a model of them.

    Optional: a method `spec()` that gives a `lipar.spec.ModelSpec` without reading weights, so that what the model
    would refuse is refused before it is loaded. Where files are missing it raises what `load` would.
    """

    def load(self, device: torch.device, dtype: torch.dtype) -> Model:
        """Load weights.

        Raises:
            FileNotFoundError: no weights at the given place.
            ValueError: they are not of this family.
        """
        ...
