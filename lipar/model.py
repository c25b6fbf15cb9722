"""What the core requires of a loaded model: the forward pass, its attention, and the autoencoder.

These are protocols: a model satisfies them by its attributes and methods, without a base class of lipar. Parts that
plugins offer have base classes instead; see `lipar.protocols`.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import Any, Protocol, runtime_checkable

import attrs
import torch
from torch import Tensor

from lipar.attention.rope import RotaryEmbedding
from lipar.layout import TokenLayout
from lipar.types import Heads, Latents, PixelFrames


@attrs.frozen(kw_only=True)
class ForwardPass:
    """One run of the model over a block."""

    step: int
    """Index of the denoise step; -1 for the clean pass."""
    sigma: float
    """Noise level of the block's latents, 1 is pure noise; 0 for the clean pass."""
    timestep: float
    """Noise level as the model receives it, 0..1000."""

    @classmethod
    def at(cls, step: int, sigma: float) -> "ForwardPass":
        """The pass at a noise level; the timestep is 1000 sigma in float32, as Self-Forcing computes it."""
        return cls(step=step, sigma=sigma, timestep=float(torch.tensor(sigma, dtype=torch.float32) * 1000))

    @property
    def clean(self) -> bool:
        """Whether this pass writes the KV cache."""
        return self.step < 0


class PassDone(Exception):
    """Raised by the attention of a pass whose flow is not used, when the last layer has its keys and values.

    It ends the model's forward there; the engine catches it, so a model lets it pass.
    """


AttentionKernel = Callable[..., Tensor]
"""Plain scaled dot-product attention on `b n heads head_dim` queries and `b m heads head_dim` keys and values.

Called as `kernel(q, k, v)`; with a recovery that weighs its copies as `kernel(q, k, v, bias)`, `bias` being a
`1 1 1 m` tensor of q's type that is added to the scores (`b 1 1 m` with a merging that weighs groups). A model whose
kernel cannot take one does not give the fact "attention-bias".
"""


@runtime_checkable
class BlockAttention(Protocol):
    """Self-attention of one pass over one block, computed by the core and called by the model's layers."""

    layout: TokenLayout
    """Which tokens of the block are computed."""

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel) -> Heads:
        """Output of self-attention for the kept tokens, from their un-rotated queries, keys and values."""
        ...


@runtime_checkable
class GuidedAttention(BlockAttention, Protocol):
    """A `BlockAttention` that a model with two guidance branches tells what guidance adds to the flow."""

    def take_guidance(self, difference: Latents) -> None:
        """The flow with the prompt minus the flow without, `1 t c h w`; called once per forward, after its layers."""
        ...


@runtime_checkable
class Autoencoder(Protocol):
    """Pixel frames to latents and back, in pieces, with bounded memory."""

    spatial_factor: int
    """Pixel rows and columns of a latent."""
    latent_channels: int
    """Channels of the latents."""
    first_pixel_frames: int
    """Pixel frames that make the first latent frame of a stream (1 for Wan, 4 for the bundled model)."""
    next_pixel_frames: int
    """Pixel frames for every further latent frame."""
    tau_short: float
    """Default thresholds of the `l1` criterion, calibrated to these latents' noise floor."""
    tau_long: float
    """Default threshold for the distance to the long-term reference."""

    def encoder(self) -> Callable[[PixelFrames], Latents]:
        """A new stream; each call takes the pixel frames of whole latent frames."""
        ...

    def decoder(self) -> Callable[[Latents], PixelFrames]:
        """A new stream; each call takes whole latent frames."""
        ...


@runtime_checkable
class Model(Protocol):
    """A loaded causal video diffusion transformer, as the scheduler runs it.

    A model may also have an attribute `gives`, the facts of `lipar.plugin.facts` that parts can rely on; without it,
    `CAUSAL`.
    """

    block_frames: int
    """Latent frames that are denoised together."""
    patch_size: int
    """Latent rows and columns of a token."""
    num_layers: int
    """Transformer blocks of the model, each with a KV cache of its own."""
    rope: RotaryEmbedding
    """The rotary position embedding of its keys and queries."""
    latent_channels: int
    """Channels of the latents."""
    home_pixels: int
    """Pixels of a frame at the size the model was trained on."""
    autoencoder: Autoencoder | None
    """None: the model has none, so that it edits latents only."""
    sink_frames: int
    """First frames that stay in the KV cache, as in training; see `lipar.attention.kv_cache.KVCache`."""
    window_frames: int
    """Latest frames in the KV cache, the block's own included; 0: all."""

    @property
    def device(self) -> torch.device:
        """Where latents must be for `forward`."""
        ...

    @property
    def dtype(self) -> torch.dtype:
        """The type of latents in `forward`."""
        ...

    def set_prompt(self, prompt: str) -> None:
        """Encode the prompt (and what guidance needs in addition) for the next blocks."""
        ...

    def sigmas(self, strength: float | None, steps: Sequence[int] | None = None) -> Sequence[float]:
        """Noise levels of the denoise steps, falling.

        Args:
            strength: step index / 1000, before the shift, to begin at; None: all of text-to-video.
            steps: step indices of 1000 to take, unscaled, instead of the model's own list; strength 0 gives none
                all the same.
        """
        ...

    def forward(self, latents: Latents, forward_pass: ForwardPass, attention: BlockAttention) -> Latents:
        """Flow (noise - clean) of the kept tokens of one video, zeros at pruned places.

        The model runs its guidance branches itself: they share the layout, and `attention` sees them on axis b.
        """
        ...


@runtime_checkable
class CompilableModel(Model, Protocol):
    """A model whose repeated layers can be compiled; it can then be run by the engine `compiled`.

    It may also have a method `why_not_compiled() -> str | None`, which is asked before a run: why its layers can
    neither be compiled nor recorded this time, such as weights that wait in another memory; None, as without the
    method: they can.
    """

    def use_compiled_layers(self, on: bool) -> None:
        """Run the layers compiled from now on, or as they are; compiling happens in the first forward."""
        ...


@runtime_checkable
class ReplayableModel(CompilableModel, Protocol):
    """A model whose forward can be recorded as a CUDA graph and replayed, by the engine `graphs`."""

    def flow(self, latents: Latents, timestep: Tensor, attention: BlockAttention) -> Latents:
        """As `forward`, with the timestep as a tensor without axes, so that another one can be written into it."""
        ...

    def replay_key(self) -> Hashable | None:
        """What a recorded forward depends on besides tensors that stay where they are; asked before every pass.

        None: the next forward does more than a recording would, such as embedding a new prompt.
        """
        ...

    def why_not_replayed(self) -> str | None:
        """Why no forward may be recorded, such as a hook of another library; None: it may.

        Asked once per block, and again when a hook was registered on any module.
        """
        ...


@runtime_checkable
class Pipeline(Protocol):
    """A model library's own pipeline, which generates a clip in a single pass; `lipar.enable` prunes its calls."""

    def __call__(self, *args: Any, **options: Any) -> Any:
        """Generate a clip; arguments and result are the library's."""
        ...
