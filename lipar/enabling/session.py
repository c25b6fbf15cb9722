"""What a model object is held by while `lipar.enable` lasts: parts, layout, and where in a run it stands."""

from collections.abc import Callable
from typing import Any

import attrs
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import RotaryEmbedding
from lipar.config import Config
from lipar.enabling.clip_layout import Grid, clip_layout
from lipar.job import Parts
from lipar.layout import TokenLayout
from lipar.masks.source import LatentPiece, SourceFormat
from lipar.protocols import BlockAttention, ForwardPass
from lipar.types import Latents, Rotation


@attrs.frozen
class Moment:
    """Where in its schedule a model is called."""

    step: int
    sigma: float
    rough: bool = False
    """Known by the timestep alone, as sigma = t / 1000."""


@attrs.frozen(kw_only=True)
class Held:
    """What a door tells about the object that it takes hold of."""

    facts: frozenset[str]
    """Of `lipar.plugin.compatibility.FACTS`."""
    patch_size: tuple[int, int, int]
    """Latent frames, rows and columns of a token."""
    channels: int
    """Of the latents that are made."""
    coder: Any = None
    """Tells `tau_short` and `tau_long` of the latents; None: nobody knows."""
    clock: Callable[[float], Moment | None] | None = None
    """The moment of a forward with this timestep, or None where the forward is not the object's own, such as one of
    another pipeline on the same transformer. Left out: every forward is its own, and only its timestep tells."""
    encode: Callable[[Any], Latents] | None = None
    """Makes source latents of a video; None: there is no autoencoder."""
    pixels: tuple[int, int] | None = None
    """Pixel frames of every latent frame but the first, which stands for one, and pixel rows and columns of a latent;
    None: there is no autoencoder."""
    brings_source: bool = False
    """It is given a video by its user in every call, and says so by `Hold.take_source`."""

    def grid(self, latents: Latents) -> Grid:
        """Frames, rows and columns of tokens."""
        _, frames, _, height, width = latents.shape
        patch = self.patch_size
        return frames // patch[0], height // patch[1], width // patch[2]

    def told(self, grid: Grid) -> str:
        """The length and size of so many tokens as a user counts them: in pixels, where these are known."""
        frames, height, width = (count * side for count, side in zip(grid, self.patch_size, strict=True))
        if self.pixels is None:
            return f"{frames} latent frames of {width}x{height} latents"
        group, factor = self.pixels
        return f"{1 + group * (frames - 1)} frames of {width * factor}x{height * factor} pixels"


@attrs.frozen(eq=False)
class NoisyTokens:
    """What came into a forward, and how noisy it is."""

    values: Float[Tensor, "b places d"]
    """The noisy latents, in the order of the model's output."""
    sigma: Float[Tensor, "b_or_1 places_or_1 1"]


@attrs.define(eq=False, kw_only=True)
class Hold:
    """One state for everything that denoises a clip: both experts of a model share it.

    A forward asks it three things, in this order: `begin` for the layout, `attention`, and `restore` for the output.
    """

    config: Config
    parts: Parts
    held: Held
    layout: TokenLayout | None = None
    """Given by the user; None: read from the source, or from the model's own prediction."""
    source: Tensor | None = None
    """Clean latents, `1 t c h w`."""
    forwards: int = attrs.field(default=0, init=False)
    kept_tokens: int = attrs.field(default=0, init=False)
    all_tokens: int = attrs.field(default=0, init=False)
    foreign_forwards: int = attrs.field(default=0, init=False)
    """Forwards that came while it was asked and were not its own."""
    _moment: Moment | None = attrs.field(default=None, init=False)
    _grid: Grid | None = attrs.field(default=None, init=False)
    _first_step: int = attrs.field(default=0, init=False)
    """Of the run: one that begins late in its schedule counts from there."""
    _last_level: float = attrs.field(default=0.0, init=False)
    _read: TokenLayout | None = attrs.field(default=None, init=False)
    """Of this run's source or prediction."""
    _everything: TokenLayout | None = attrs.field(default=None, init=False)
    _predictions: list[Tensor] = attrs.field(factory=list, init=False)
    """The clean latents that each branch of the full step at hand predicts."""

    def take_source(self, source: Latents | None) -> None:
        """Read the coming run's layout from these latents."""
        self.source, self._read = source, None

    def start(self) -> None:
        """Begin a run: the coming forward is its first."""
        self._moment = None

    def begin(self, grid: Grid, device: torch.device, timestep: Tensor) -> TokenLayout | None:
        """The layout of the coming forward, on the model's device; None: the forward is not this hold's own."""
        self.parts.checks.settle()  # the host waits here anyway
        level, clock = float(timestep.max()), self.held.clock
        moment = self._by_timestep(level) if clock is None else clock(level)
        if moment is None:
            self.foreign_forwards += 1
            return None
        before, self._moment = self._moment, moment
        if before is None or grid != self._grid:
            self._grid, self._first_step = grid, moment.step
            self.parts.noise.reset()
            self._predictions.clear()
            if self.source is None:
                self._read = None
        elif before.step != moment.step and self._predictions:
            mean = torch.stack(self._predictions).mean(0)
            self._predictions.clear()
            self._read = self._layout_of(mean, grid)
        return self._on(self._chosen(grid), grid, device)

    def _chosen(self, grid: Grid) -> TokenLayout | None:
        if self.layout is not None:
            return self.layout
        if self.source is not None:
            if self._read is None:
                self._read = self._layout_of(self.source, grid)
            return self._read
        return None if self._is_full else self._read

    @property
    def changes_between_steps(self) -> bool:
        """Whether one run has several layouts."""
        own = self.config.self_redundancy.full_steps
        return own is not None and self.layout is None and self.source is None

    @property
    def _step(self) -> int:
        """Steps that the run has done."""
        assert self._moment is not None
        return self._moment.step - self._first_step

    @property
    def _is_full(self) -> bool:
        """Whether the step at hand, without a source, is computed whole."""
        own, step = self.config.self_redundancy, self._step
        if own.full_steps is None or step < own.full_steps:
            return True
        return own.recheck is not None and (step - own.full_steps) % own.recheck == own.recheck - 1

    @property
    def _is_read(self) -> bool:
        """Whether redundancy is read from what the step at hand predicts."""
        own = self.config.self_redundancy.full_steps
        return own is not None and self.changes_between_steps and self._is_full and self._step >= own - 1

    def _by_timestep(self, level: float) -> Moment:
        """A bare model is in a new run where its timestep rises; sigma is t / 1000."""
        if level > self._last_level:
            self.start()
        before = self._moment
        step = 0 if before is None else before.step + (level < self._last_level)
        self._last_level = level
        return Moment(step, level / 1000, rough=True)

    def _on(self, layout: TokenLayout | None, grid: Grid, device: torch.device) -> TokenLayout:
        if layout is None:
            whole = self._everything
            if whole is None or whole.grid != grid or whole.keep_mask.device != device:
                whole = self._everything = TokenLayout.keep_all(grid, has_history=False, device=device)
            return whole
        if layout.keep_mask.device != device:
            layout = attrs.evolve(layout, keep_mask=layout.keep_mask.to(device))
            if self.layout is not None:
                self.layout = layout
            else:
                self._read = layout
        return layout

    def _layout_of(self, clean: Latents, grid: Grid) -> TokenLayout:
        came = self.held.grid(clean)
        if came != grid:
            raise ValueError(
                f"the source has {self.held.told(came)}, but {self.held.told(grid)} are being made; "
                "give a source of the same length and size"
            )
        clean, side = _squared(clean, self.held.patch_size)
        form = SourceFormat(patch_size=side, coder=self.held.coder)
        return clip_layout(clean, grid, form, self.config, self.parts)

    def attention(
        self, layout: TokenLayout, rotation: Rotation, rope: RotaryEmbedding, num_layers: int
    ) -> BlockAttention:
        """Self-attention of one forward over its own block alone."""
        self.forwards += 1
        self.kept_tokens += layout.kept_count
        self.all_tokens += layout.token_count
        cache = KVCache(num_layers, rope, sink_frames=0, window_frames=0, persistent=False)
        context = BlockContext(cache, layout, self.parts.recovery, self.parts.noise, rotation=rotation)
        assert self._moment is not None
        context.begin_pass(ForwardPass.at(self._moment.step, self._moment.sigma))
        return context

    def noisy_tokens(self, values: Tensor, timestep: Tensor) -> NoisyTokens:
        """What a forward was given, with the noise level of each token.

        Args:
            values: noisy latents as tokens, `b places d`.
            timestep: `b`, or `b places` where tokens have their own; 0 is clean.
        """
        assert self._moment is not None
        told = timestep.float().reshape(timestep.shape[0], -1, 1)
        # what a schedule tells is exact; timesteps may have been rounded
        unit = 1000.0 if self._moment.rough else told.amax().clamp(min=1e-9) / self._moment.sigma
        return NoisyTokens(values, told / unit)

    def restore(
        self, layout: TokenLayout, kept: Float[Tensor, "b n d"], noisy: NoisyTokens
    ) -> Float[Tensor, "b places d"]:
        """The model's output for the whole block, see `_output`; what parts answered in this forward is checked."""
        output = self._output(layout, kept, noisy)
        if output.device.type == "cpu":  # elsewhere that would be a wait; the next forward begins with one
            self.parts.checks.settle()
        return output

    def _output(
        self, layout: TokenLayout, kept: Float[Tensor, "b n d"], noisy: NoisyTokens
    ) -> Float[Tensor, "b places d"]:
        """The model's output for the whole block.

        A pruned token gets the velocity (x - x0) / sigma that leads from where it is to the clean value of its
        source, x0. Every solver of first order data, such as Euler and UniPC, then lands there, as if clean latents
        had been restored after it; guidance, which is linear, keeps it.
        """
        assert self._moment is not None
        everything = layout.kept_count == layout.token_count
        # of clean tokens the output leads nowhere
        if self._moment.sigma == 0 or (everything and not self._is_read):
            return self.parts.restorer(layout, None, kept)
        x, sigma = noisy.values.float(), noisy.sigma
        full = layout.fill(None, kept)
        predicted = (x - sigma * full.float()).index_select(1, layout.kept)
        if self._is_read:
            self._predictions.append(self._as_latents(predicted.detach(), layout))
        if everything:
            return self.parts.restorer(layout, None, kept)
        restored = self.parts.restorer(layout, None, predicted)
        velocity = torch.where(sigma > 0, (x - restored) / sigma.clamp(min=1e-6), full.float()).to(kept.dtype)
        if not self.parts.restorer.changes_kept:
            velocity.index_copy_(1, layout.kept, kept)
        return velocity

    def _as_latents(self, tokens: Tensor, layout: TokenLayout) -> Latents:
        # of the first video of a batch: one mask serves a call
        (frames, rows, cols), (f, p, q) = layout.grid, self.held.patch_size
        return rearrange(
            tokens[:1],
            "b (t h w) (f p q c) -> b (t f) c (h p) (w q)",
            t=frames,
            h=rows,
            w=cols,
            f=f,
            p=p,
            q=q,
        )


def _squared(clean: Latents, patch: tuple[int, int, int]) -> tuple[LatentPiece, int]:
    """Latents in which a token is one frame and square, and its side.

    What the patches do not divide is left out, as the model leaves it out. Tokens of another form become single latents
    of as many channels as they have values: a criterion compares the same values.
    """
    f, p, q = patch
    frames, rows, cols = (
        size // side * side for size, side in zip((clean.shape[1], *clean.shape[3:]), patch, strict=True)
    )
    clean = clean[:, :frames, :, :rows, :cols]
    if f == 1 and p == q:
        return clean, p
    return rearrange(clean, "b (t f) c (h p) (w q) -> b t (c f p q) h w", f=f, p=p, q=q), 1
