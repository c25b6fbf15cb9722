"""What a model object is held by while `lipar.enable` lasts: parts, layout, and where in a run it stands."""

from collections.abc import Callable
from typing import Any

import attrs
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from lipar.attention import BlockContext
from lipar.clip_layout import Grid, clip_layout
from lipar.config import Config
from lipar.kv_cache import KVCache
from lipar.layout import TokenLayout
from lipar.parts import Parts
from lipar.protocols import BlockAttention, ForwardPass
from lipar.rope import RotaryEmbedding
from lipar.source import SourceFormat
from lipar.types import Latents, Rotation


@attrs.frozen
class Moment:
    """Where in its schedule a model is called."""

    run: object
    """The same object for all forwards of one denoising run."""
    step: int
    sigma: float
    rough: bool = False
    """Known by the timestep alone, as sigma = t / 1000."""


@attrs.frozen(kw_only=True)
class Held:
    """What a door tells about the object that it takes hold of."""

    facts: frozenset[str]
    """Of `lipar.compatibility.FACTS`."""
    patch_size: int
    channels: int
    """Of the latents that are made."""
    coder: Any = None
    """Tells `tau_short` and `tau_long` of the latents; None: nobody knows."""
    clock: Callable[[float], Moment | None] = lambda timestep: None
    """The moment of a forward with this timestep; None: only its timestep tells."""
    encode: Callable[[Any], Latents] | None = None
    """Makes source latents of a video; None: there is no autoencoder."""
    brings_source: bool = False
    """It is given a video by its user in every call, and says so by `Hold.take_source`."""


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

    def begin(self, grid: Grid, device: torch.device, timestep: Tensor) -> TokenLayout:
        """The layout of the coming forward, on the model's device."""
        self.parts.checks.settle()  # the host waits here anyway
        level = float(timestep.max())
        moment = self.held.clock(level) or self._by_timestep(level)
        before, self._moment = self._moment, moment
        if before is None or before.run is not moment.run or grid != self._grid:
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
        before = self._moment
        if before is None or level > self._last_level:
            moment = Moment(object(), 0, level / 1000, rough=True)
        else:
            moment = Moment(before.run, before.step + (level < self._last_level), level / 1000, rough=True)
        self._last_level = level
        return moment

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
        form = SourceFormat(patch_size=self.held.patch_size, coder=self.held.coder)
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
            self._predictions.append(self._as_latents(predicted, layout))
        if everything:
            return self.parts.restorer(layout, None, kept)
        restored = self.parts.restorer(layout, None, predicted)
        velocity = torch.where(sigma > 0, (x - restored) / sigma.clamp(min=1e-6), full.float()).to(kept.dtype)
        if not getattr(self.parts.restorer, "changes_kept", False):
            velocity.index_copy_(1, layout.kept, kept)
        return velocity

    def _as_latents(self, tokens: Tensor, layout: TokenLayout) -> Latents:
        # of the first video of a batch: one mask serves a call
        patch = self.held.patch_size
        frames, rows, cols = layout.grid
        return rearrange(
            tokens[:1], "b (t h w) (p q c) -> b t c (h p) (w q)", t=frames, h=rows, w=cols, p=patch, q=patch
        )
