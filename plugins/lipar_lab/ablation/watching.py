"""Plugins and wrappers that record the keys, values and attention at the pruned places of a run.

The run itself is unchanged: each wrapper passes on what it is given.
"""

from typing import Any, TypeAlias

import attrs
import torch
from torch import Tensor

from lipar.attention.block import sdpa
from lipar.hookspecs import hookimpl
from lipar.job import Job, Parts
from lipar.layout import TokenLayout
from lipar.protocols import AttentionKernel, BlockAttention, Donation, ForwardPass, NoiseSource
from lipar.scheduler import Scheduler
from lipar.types import Context, Heads, Indices, KeepMask, Latents

LayerPass: TypeAlias = tuple[int, int, int]
"""First frame of the block, step, layer."""


@attrs.define(eq=False, kw_only=True)
class Seen:
    """Keys and values at pruned places, `b places heads head_dim`, and the attention on them, in one `LayerPass`."""

    k: Tensor
    v: Tensor
    mass: float
    """Mean share of the kept queries' attention on these places, 0..1."""


def attention_share(q: Heads, k: Context, slots: Indices) -> float:
    """Mean share of the queries' attention on some rows of the context, 0..1.

    Args:
        q: rotated queries.
        k: rotated keys of the whole context.
        slots: rows of the context.
    """
    scores = torch.einsum("bnhd,bmhd->bhnm", q.float(), k.float()) / q.shape[-1] ** 0.5
    return float(scores.softmax(dim=-1).index_select(-1, slots).sum(-1).mean())


@attrs.define(eq=False)
class Watcher:
    """Records one run, layer by layer and pass by pass."""

    seen: dict[LayerPass, Seen] = attrs.field(factory=dict)
    """What was recorded."""
    donors: dict[int, tuple[Tensor, Tensor]] = attrs.field(factory=dict)
    """Keys and values of the last donors of each layer, where a noise source gives them."""

    def watch(
        self, attention: BlockAttention, layout: TokenLayout, forward_pass: ForwardPass
    ) -> BlockAttention:
        """An attention that gives the same outputs and is recorded.

        Args:
            attention: the attention of a pruned block, or of a block in which every token is computed.
            layout: the pruned layout in both cases; its pruned places are recorded.
            forward_pass: the pass that uses it.
        """
        return WatchedAttention(attention, layout, forward_pass, self)


@attrs.define(eq=False)
class WatchedAttention:
    """A block's attention that is recorded in every layer (implements `BlockAttention`)."""

    inner: BlockAttention
    pruned: TokenLayout
    """The layout whose pruned places are recorded."""
    forward_pass: ForwardPass
    watcher: Watcher
    layout: TokenLayout = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.inner.layout, takes_self=True)
    )

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel = sdpa) -> Heads:
        """The inner attention's output, unchanged."""
        places, count = self.pruned.pruned, self.pruned.token_count
        whole = self.layout.kept_count == count
        share: list[float] = []

        def watching(q_rotated: Tensor, k_rotated: Tensor, values: Tensor, *more: Any) -> Tensor:
            queries = q_rotated.index_select(1, self.pruned.kept) if whole else q_rotated
            share.append(attention_share(queries, k_rotated, places + k_rotated.shape[1] - count))
            return kernel(q_rotated, k_rotated, values, *more)

        out = self.inner.attend(layer_idx, q, k, v, watching)
        if whole:
            at_places = (k.index_select(1, places), v.index_select(1, places))
        else:
            at_places = self.watcher.donors[layer_idx]
        key = (self.pruned.first_frame, self.forward_pass.step, layer_idx)
        self.watcher.seen[key] = Seen(k=at_places[0], v=at_places[1], mass=share[0])
        return out


@attrs.define(eq=False)
class WatchedNoise(NoiseSource):
    """A noise source whose donors are recorded."""

    inner: NoiseSource
    watcher: Watcher
    per_step: bool = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.inner.per_step, takes_self=True)
    )

    def ready(self, layout: TokenLayout) -> bool:
        """As the inner source."""
        return self.inner.ready(layout)

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """The inner source's donors; a copy is recorded, since a recovery may rotate them in place."""
        k, v = self.inner.donors(donation)
        self.watcher.donors[donation.layer_idx] = (k.clone(), v.clone())
        return k, v

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """As the inner source."""
        return self.inner.donor_times(layout, places)

    def observe(self, donation: Donation) -> None:
        """Passed on to the inner source."""
        self.inner.observe(donation)

    def observe_clean(self, donation: Donation) -> None:
        """Passed on to the inner source."""
        self.inner.observe_clean(donation)

    def reset(self) -> None:
        """Passed on to the inner source."""
        self.inner.reset()


def record_donors(scheduler: Scheduler, watcher: Watcher) -> None:
    """Have the donors of a scheduler's first run recorded."""
    parts: Parts = attrs.evolve(scheduler.job.parts, noise=WatchedNoise(scheduler.job.parts.noise, watcher))
    scheduler.job.parts = parts


@attrs.define(eq=False, kw_only=True)
class WatchPasses:
    """A plugin that runs denoise passes with recorded attention."""

    watcher: Watcher
    keep_mask: KeepMask | None = None
    """For the dense run, the mask of the clip by which rows prune; None: the block's own layout."""

    @hookimpl
    def lipar_forward(
        self, job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout
    ) -> Latents | None:
        """The model's flow; None, and so lipar's own answer, in the clean pass and where nothing is pruned."""
        pruned = layout
        if self.keep_mask is not None:
            mask = self.keep_mask[layout.first_frame : layout.first_frame + layout.frames]
            pruned = attrs.evolve(layout, keep_mask=mask.to(latents.device))
        if forward_pass.clean or not layout.has_history or pruned.kept_count in (0, pruned.token_count):
            return None
        assert job.context is not None
        job.context.begin_pass(forward_pass)
        return job.model.forward(latents, forward_pass, self.watcher.watch(job.context, pruned, forward_pass))
