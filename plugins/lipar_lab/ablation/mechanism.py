"""Where donors lie and how much attention they draw, against the tokens they stand for.

The dense run shows, for every place that rows prune, what keys and values it has and how much of the kept queries'
attention falls on it. Each row is then watched at the same block, step and layer. Inputs are identical only at the
first layer and step of the first pruned block; elsewhere each run has gone its own way.
"""

from collections import defaultdict
from collections.abc import Iterator
from typing import Any, TypeAlias

import attrs
import torch
from torch import Tensor

from lipar.attention.block import sdpa
from lipar.config import Config
from lipar.hookspecs import hookimpl
from lipar.job import Job, Parts
from lipar.layout import TokenLayout
from lipar.protocols import AttentionKernel, BlockAttention, Donation, ForwardPass, NoiseSource
from lipar.scheduler import Scheduler
from lipar.types import Context, Heads, Indices, KeepMask, Latents
from lipar_lab.ablation.ceiling import FreshNoise
from lipar_lab.ablation.cells import ClipBench, plugged
from lipar_lab.ablation.plan import Bench, Plan
from lipar_lab.ablation.rows import Row

Moment: TypeAlias = tuple[int, int, int]
"""First frame of the block, step, layer."""


@attrs.define(eq=False, kw_only=True)
class Seen:
    """Keys and values at pruned places, and the attention on them, at one moment."""

    k: Tensor
    v: Tensor
    mass: float


def attention_share(q: Heads, k: Context, slots: Indices) -> float:
    """Mean part of the queries' attention that falls on some rows of the context; q and k are rotated."""
    scores = torch.einsum("bnhd,bmhd->bhnm", q.float(), k.float()) / q.shape[-1] ** 0.5
    return float(scores.softmax(dim=-1).index_select(-1, slots).sum(-1).mean())


@attrs.define(eq=False)
class Watcher:
    """Writes down one run, moment by moment."""

    seen: dict[Moment, Seen] = attrs.field(factory=dict)
    donors: dict[int, tuple[Tensor, Tensor]] = attrs.field(factory=dict)
    """The last donors of each layer, where a noise source gives them."""

    def watch(
        self, attention: BlockAttention, layout: TokenLayout, forward_pass: ForwardPass
    ) -> BlockAttention:
        """The attention with our eyes on it; `layout` prunes, whether `attention` does or not."""
        return WatchedAttention(attention, layout, forward_pass, self)


@attrs.define(eq=False)
class WatchedAttention:
    """A block's attention whose every layer is written down (implements `BlockAttention`)."""

    inner: BlockAttention
    pruned: TokenLayout
    forward_pass: ForwardPass
    watcher: Watcher
    layout: TokenLayout = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.inner.layout, takes_self=True)
    )

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel = sdpa) -> Heads:
        """The inner attention's output."""
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
        moment = (self.pruned.first_frame, self.forward_pass.step, layer_idx)
        self.watcher.seen[moment] = Seen(k=at_places[0], v=at_places[1], mass=share[0])
        return out


@attrs.define(eq=False)
class WatchedNoise(NoiseSource):
    """A noise source whose donors are written down."""

    inner: NoiseSource
    watcher: Watcher
    per_step: bool = attrs.field(
        init=False, default=attrs.Factory(lambda self: self.inner.per_step, takes_self=True)
    )

    def ready(self, layout: TokenLayout) -> bool:
        return self.inner.ready(layout)

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        k, v = self.inner.donors(donation)
        self.watcher.donors[donation.layer_idx] = (k.clone(), v.clone())
        return k, v

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        return self.inner.donor_times(layout, places)

    def observe(self, donation: Donation) -> None:
        self.inner.observe(donation)

    def reset(self) -> None:
        self.inner.reset()


class WatchedScheduler(Scheduler):
    """A scheduler whose noise source is watched."""

    watcher: Watcher

    def _new_job(self) -> Job:
        job = super()._new_job()
        if hasattr(self, "watcher"):  # not yet when the first job is made, which runs nothing
            parts: Parts = attrs.evolve(job.parts, noise=WatchedNoise(job.parts.noise, self.watcher))
            job.parts = parts
        return job


@attrs.define(eq=False, kw_only=True)
class WatchPasses:
    """A plugin that runs denoise passes under the watcher."""

    watcher: Watcher
    keep_mask: KeepMask | None = None
    """What rows prune by, for the dense run; None: the block's own layout."""

    @hookimpl
    def lipar_forward(
        self, job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout
    ) -> Latents | None:
        """The model's flow; the clean pass and whole blocks are lipar's own."""
        pruned = layout
        if self.keep_mask is not None:
            mask = self.keep_mask[layout.first_frame : layout.first_frame + layout.frames]
            pruned = attrs.evolve(layout, keep_mask=mask.to(latents.device))
        if forward_pass.clean or not layout.has_history or pruned.kept_count in (0, pruned.token_count):
            return None
        assert job.context is not None
        job.context.begin_pass(forward_pass)
        return job.model.forward(latents, forward_pass, self.watcher.watch(job.context, pruned, forward_pass))


def watched_run(work: ClipBench, row: Row, strength: float, keep_mask: KeepMask) -> Watcher:
    """Run a row and write down every denoise pass of its pruned blocks; the dense row at the places of the mask."""
    watcher = Watcher()
    config, dense = work.plan.config(row, strength), row.how == "dense"
    plugins = work.plugins(row, config, None if dense else keep_mask)
    ceilings = [plugin for plugin in plugins if isinstance(plugin, FreshNoise)]
    for ceiling in ceilings:
        ceiling.watch = watcher.watch
    if not ceilings:
        plugins.append(WatchPasses(watcher=watcher, keep_mask=keep_mask if dense else None))
    with plugged(work.bench.host, *plugins):
        scheduler = WatchedScheduler(work.bench.model, config, host=work.bench.host, dense=dense)
        scheduler.watcher = watcher
        for _ in scheduler.run([work.piece]):
            pass
    return watcher


def compare_moment(donor: Seen, dense: Seen) -> dict[str, float]:
    """Offsets and errors of keys and values as parts of the dense norm, and both attention masses."""

    def parts(ours: Tensor, theirs: Tensor) -> tuple[float, float]:
        ours, theirs = ours.flatten(2).float(), theirs.flatten(2).float()
        norm = float(theirs.norm(dim=-1).mean())
        difference = ours - theirs
        offset = float(difference.mean(dim=1).norm(dim=-1).mean())
        return offset / norm, float(difference.norm(dim=-1).mean()) / norm

    offset_k, error_k = parts(donor.k, dense.k)
    offset_v, error_v = parts(donor.v, dense.v)
    return {
        "offset_k": offset_k,
        "offset_v": offset_v,
        "error_k": error_k,
        "error_v": error_v,
        "mass": donor.mass,
        "mass_dense": dense.mass,
    }


def can_be_watched(row: Row, config: Config) -> bool:
    """Whether every pruned place has a donor and a row in the context, so that it can be set beside the dense one."""
    if row.how == "strategy":
        return config.recovery.name == "m-degree" and not config.recovery.options
    return row.how.startswith("ceiling")


def clip_mechanism(plan: Plan, bench: Bench, index: int) -> Iterator[dict[str, Any]]:
    """Mean figures of every layer of every watchable row on one clip, at the middle kept fraction and strength."""
    kept = plan.kept[len(plan.kept) // 2]
    strength = plan.strengths[len(plan.strengths) // 2]
    work = ClipBench.make(plan, bench, index, [kept])
    bench.model.set_prompt(work.clip.prompt)
    keep_mask = work.masks[kept].keep_mask
    dense_row = next(row for row in plan.rows if row.how == "dense")
    dense = watched_run(work, dense_row, strength, keep_mask).seen
    for row in plan.rows:
        if not can_be_watched(row, plan.configs[row.name]):
            continue
        seen = watched_run(work, row, strength, keep_mask).seen
        by_layer = defaultdict(list)
        for moment, donor in seen.items():
            by_layer[moment[2]].append(compare_moment(donor, dense[moment]))
        for layer_idx, moments in sorted(by_layer.items()):
            means = {key: sum(m[key] for m in moments) / len(moments) for key in moments[0]}
            yield {
                "what": "mechanism",
                "clip": index,
                "row": row.name,
                "settings": list(row.settings),
                "kept": kept,
                "strength": strength,
                "layer": layer_idx,
                **means,
            }
