"""The state of one enabled object: parts, layout, and the position of its current run.

Three ideas have files of their own: the position in the schedule (`schedule`), the layouts of a run without a source
(`self_redundancy`), and the output at pruned places (`velocity`).
"""

import attrs
import torch
from jaxtyping import Float
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.kernels import has_triton
from lipar.attention.kv_cache import KVCache
from lipar.attention.rope import Rope
from lipar.config import Config
from lipar.enabling.clip_layout import layout_of_clip
from lipar.enabling.forward_counts import ForwardCounts
from lipar.enabling.schedule import Advance, SchedulePosition
from lipar.enabling.self_redundancy import SelfRedundancy
from lipar.enabling.target_info import Grid, TargetInfo
from lipar.enabling.velocity import NoisyTokens, noisy_tokens, predicted_clean, velocity_to, with_kept
from lipar.job import Parts
from lipar.layout import TokenLayout
from lipar.protocols import BlockAttention, ForwardPass
from lipar.types import Latents, Rotation


@attrs.define(eq=False, kw_only=True)
class Session:
    """What `lipar.enable` keeps for one object; both experts of a pipeline share it.

    Each forward asks three things, in this order: `begin` for the layout, `attention`, and `restore` for the output.
    """

    config: Config
    parts: Parts
    info: TargetInfo
    layout: TokenLayout | None = None
    """The user's own; None: measured on the source, or on the model's prediction."""
    source: Tensor | None = None
    """Clean latents, `1 t c h w`."""
    position: SchedulePosition = attrs.field(init=False)
    """Where the current run is in its schedule."""
    self_redundancy: SelfRedundancy = attrs.field(init=False)
    counts: ForwardCounts = attrs.field(factory=ForwardCounts, init=False)
    """Tokens and times of the forwards since `lipar.enable`."""
    foreign_forwards: int = attrs.field(default=0, init=False)
    """Forwards that came while this session could have pruned them, and belonged to something else."""
    measured: bool = attrs.field(default=False, init=False)
    """Whether redundancy was measured at least once, on a source or a prediction."""
    _expert: str = attrs.field(default="", init=False)
    _found: TokenLayout | None = attrs.field(default=None, init=False)
    """The layout that was measured in this run."""
    _everything: TokenLayout | None = attrs.field(default=None, init=False)
    """The layout that keeps all tokens, made once for each size."""

    @position.default
    def _position_by_clock(self) -> SchedulePosition:
        return SchedulePosition(self.info.clock)

    @self_redundancy.default
    def _self_redundancy_by_config(self) -> SelfRedundancy:
        return SelfRedundancy(self.config.self_redundancy)

    def take_source(self, source: Latents | None) -> None:
        """Measure the layout of the next run on these latents, `1 t c h w`; None: there is no source any more."""
        self.source, self._found = source, None

    def start(self) -> None:
        """Begin a run with the next forward."""
        self.position.restart()

    def begin(
        self, grid: Grid, device: torch.device, timestep: Tensor, expert: str = "transformer"
    ) -> TokenLayout | None:
        """The layout of a forward that begins; None if the forward belongs to something else.

        Args:
            grid: frames, rows and columns of its tokens.
            device: where the layout is needed.
            timestep: as the model gets it, 0 to 1000.
            expert: the name under which the forward is counted.

        Raises:
            ValueError: the source has another length or size.
        """
        # float() makes the host wait for the device anyway, so answers of the forward before can be checked here
        self.parts.checks.settle()
        advance = self.position.advance(float(timestep.max()), grid)
        if advance is Advance.FOREIGN:
            self.foreign_forwards += 1
            return None
        self._expert = expert
        if advance is Advance.NEW_RUN:
            self.parts.noise.reset()
            self.self_redundancy.clear()
            if self.source is None:
                self._found = None
        elif advance is Advance.NEW_STEP and (mean := self.self_redundancy.take_mean()) is not None:
            self._found = self._measure(mean, grid)
        return self._on_device(self._chosen(grid), grid, device)

    @property
    def changes_between_steps(self) -> bool:
        """Whether one run has several layouts."""
        return self.self_redundancy.is_on and self.layout is None and self.source is None

    def attention(
        self, layout: TokenLayout, rotation: Rotation, rope: Rope, num_layers: int
    ) -> BlockAttention:
        """Self-attention of one forward: the clip is one block, with no frames before it.

        Args:
            layout: as `begin` gave it.
            rotation: cosine and sine of every place of the block.
            rope: rotates keys by it.
            num_layers: number of the model's layers.
        """
        self.counts.begin(self._expert, layout, rotation[0].device)
        cache = KVCache(num_layers, rope, sink_frames=0, window_frames=0, persistent=False)
        fused = rotation[0].device.type == "cuda" and has_triton()
        context = BlockContext(
            cache, layout, self.parts.recovery, self.parts.noise, rotation=rotation, fused=fused
        )
        point = self.position.point
        assert point is not None
        context.begin_pass(ForwardPass.at(point.step, point.sigma))
        return context

    def noisy_tokens(self, values: Float[Tensor, "b places d"], timestep: Tensor) -> NoisyTokens:
        """The input of the current forward, with its noise level; see `lipar.enabling.velocity.noisy_tokens`."""
        assert self.position.point is not None
        return noisy_tokens(values, timestep, self.position.point)

    def restore(
        self, layout: TokenLayout, kept: Float[Tensor, "b n d"], noisy: NoisyTokens
    ) -> Float[Tensor, "b places d"]:
        """The model's output at all places; pruned ones get the velocity of `lipar.enabling.velocity`.

        Args:
            layout: as `begin` gave it.
            kept: the model's output at kept places.
            noisy: the forward's input, of `noisy_tokens`.
        """
        output = self._output(layout, kept, noisy)
        self.counts.end()
        if output.device.type == "cpu":  # on a GPU this would be a wait; there the next forward checks
            self.parts.checks.settle()
        return output

    def _output(
        self, layout: TokenLayout, kept: Float[Tensor, "b n d"], noisy: NoisyTokens
    ) -> Float[Tensor, "b places d"]:
        point, restorer = self.position.point, self.parts.restorer
        assert point is not None
        full = layout.kept_count == layout.token_count
        measured = self.changes_between_steps and self.self_redundancy.is_measured(self.position.steps_done)
        # clean tokens stay where they are, whatever the model answers
        if point.sigma == 0 or (full and not measured):
            return restorer(layout, None, kept)
        velocity = layout.fill(None, kept)
        clean = predicted_clean(noisy, velocity).index_select(1, layout.kept)
        if measured:
            # the first video of a batch decides: one mask serves the whole call
            self.self_redundancy.add(self.info.latents_of_tokens(clean[:1].detach(), layout.grid))
        if full:
            return restorer(layout, None, kept)
        restored = velocity_to(restorer(layout, None, clean), noisy, velocity)
        return restored if restorer.changes_kept else with_kept(restored, layout, kept)

    def _chosen(self, grid: Grid) -> TokenLayout | None:
        """The layout of the current forward; None: all tokens are kept."""
        if self.layout is not None:
            return self.layout
        if self.source is not None:
            if self._found is None:
                self._found = self._measure(self.source, grid)
            return self._found
        return None if self.self_redundancy.is_full(self.position.steps_done) else self._found

    def _measure(self, clean: Latents, grid: Grid) -> TokenLayout:
        self.measured = True
        return layout_of_clip(clean, grid, self.info, self.config, self.parts)

    def _on_device(self, layout: TokenLayout | None, grid: Grid, device: torch.device) -> TokenLayout:
        """The layout on the device of the forward, moved once."""
        if layout is None:
            everything = self._everything
            if everything is None or everything.grid != grid or everything.keep_mask.device != device:
                everything = TokenLayout.keep_all(grid, has_history=False, device=device)
                self._everything = everything
            return everything
        if layout.keep_mask.device != device:
            layout = layout.to(device)
            if self.layout is not None:
                self.layout = layout
            else:
                self._found = layout
        return layout
