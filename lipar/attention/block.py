"""Self-attention of a block's kept tokens over [sink | window | block].

This is the hot path: every layer of every pass calls `BlockContext.attend` directly. Within a pass it
does no boolean gather and waits for nothing; what depends on the mask was made once, when the block began.

Every layer has rows of keys and values, in t, h, w order. The queries of the kept tokens attend to rows 0..end:

    row     0                                   start                            end
            |  sink frames  |  window frames    |  K  F  K  K  F  F  K  .  .  .  |
            |  history: clean, from the cache   |  this block, one slot a place  |

    place   position of a token inside its block, 0 .. token_count - 1, in t, h, w order
    slot    row of a place: start + its rank among the places that are present
    K       a kept token's slot: its own k, v, written in every pass
    F       a fill: a pruned token's slot, with a donor's k, v (which one: `lipar.attention.donors`)

A `Region` says which places are present in a kind of pass, and `_both` makes the two of them, one for the denoise steps
and one for the clean pass. It takes four decisions:

    absent or filled     a recovery that does not fill leaves pruned places out: only K (the ablation's lower end)
    which copies         a kept token stands for a run of c places; the m most recent are present (Eq. 10-12)
    with which weight    a bias log(c / m) makes m copies count as c (proportional attention, arXiv 2210.09461, Eq. 1)
    at which position    a fill's key is rotated to its own place, e^(l theta) k (Eq. 5), or stays as it was rotated at
                         its donor's place (naive copy)

The clean pass takes none of them: every place is filled from its restoration source (Alg. 2), at its own position,
since these rows become history. Equations are those of arXiv 2603.05811.

Two other ways to compute less share these rows, each only where a config asks for it: merging in
`lipar.attention.merged_block`, and reuse in `lipar.attention.partial_block`.
"""

import copy
from collections.abc import Hashable
from functools import cached_property

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor

from lipar.attention.donors import sequence_donors
from lipar.attention.kernels import Donors, rotate_both, write_donors, write_kept
from lipar.attention.kv_cache import KVCache, LayerRows
from lipar.attention.region import Region, Regions
from lipar.attention.rope import Rope, prepare_rotation, rotate
from lipar.layout import TokenLayout
from lipar.model import PassDone
from lipar.protocols import AttentionKernel, Donation, ForwardPass, NoiseSource, Recovery
from lipar.types import Heads, Indices, Rotation


def sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """PyTorch's fused attention on `b n heads head_dim` tensors; without a bias, so that every fused kernel fits."""
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=bias
    )
    return out.transpose(1, 2)


class BlockContext:
    """Self-attention of one block, for all its passes and layers (the `BlockAttention` protocol).

    Args:
        cache: the frames before the block; its rows behind them are written by the passes.
        layout: the block's kept tokens.
        recovery: which places kept queries attend to.
        noise: gives the keys and values of pruned tokens; None: they are absent in the denoise passes.
        rotation: of the block's places, for a model with a table of its own; None: by the cache's time.
        fused: write rows by the kernels of `lipar.attention.kernels`; for compiled layers and CUDA graphs. The same
            numbers, but for noise sources that measure means.
    """

    def __init__(
        self,
        cache: KVCache,
        layout: TokenLayout,
        recovery: Recovery,
        noise: NoiseSource | None,
        *,
        rotation: Rotation | None = None,
        fused: bool = False,
    ) -> None:
        rope = cache.rope
        self.layout = layout
        self._cache = cache
        self._noise = noise
        self.fused = fused
        self._start = cache.open_block(layout)
        if recovery.fills:
            cache.check_history(layout)
        rotation = cache.block_rotation(layout) if rotation is None else rotation
        regions = Regions(
            layout=layout, start=self._start, rotation=rotation, doubled=False if fused else None
        )
        self._kept_rotation = regions.prepared(layout.kept)
        self._block_rotation = None if fused else regions.prepared()
        self._denoise, self._clean = self._both(recovery, regions, rope)
        # layers that share their rows overwrite each other's donors, so each step writes them again
        self._per_step = noise is not None and (noise.per_step or not cache.persistent)
        self._donors_written = False
        self._due = self._flow_used = True
        self.forward_pass = ForwardPass(step=0, sigma=1.0, timestep=1000.0)

    def _both(self, recovery: Recovery, regions: Regions, rope: Rope) -> tuple[Region, Region]:
        """The regions of the denoise steps and of the clean pass."""
        layout, noise = self.layout, self._noise
        # absent or filled
        if not recovery.fills:
            kept_only = regions.kept_only()
            return kept_only, kept_only
        clean = regions.whole()
        # which copies
        plan = recovery.plan(layout)
        denoise = clean if plan.present is None else regions.of(plan.present)
        if self.fused:
            clean = attrs.evolve(clean, donors=self._donors(layout.sources(clean.places)))
        if denoise.places.shape[0] and (noise is None or not noise.ready(layout)):
            # no donors yet, for example a store of earlier blocks in the first block of a scene
            return regions.kept_only(), clean
        # with which weight
        if plan.bias is not None:
            denoise = attrs.evolve(denoise, bias=self._bias(plan.bias, denoise))
        # at which position
        if plan.rotate_to_donor and noise is not None:
            cols = layout.grid[2]
            times = noise.donor_times(layout, denoise.places)
            position = layout.position_at(denoise.places, times)
            at_donor = rope.rotation(times + self._cache.block_time, position // cols, position % cols)
            denoise = attrs.evolve(denoise, fill_rotation=prepare_rotation(at_donor, doubled=regions.doubled))
        if self.fused and noise is not None and denoise.places.shape[0]:
            denoise = attrs.evolve(denoise, donors=self._donors(noise.donor_rows(layout, denoise.places)))
        return denoise, clean

    def _donors(self, sources: Tensor | None) -> Donors | None:
        return None if sources is None else Donors(sources, self.layout.tokens_per_frame)

    def _bias(self, of_places: Tensor, region: Region) -> Tensor:
        of_present = of_places.flatten() if region.present is None else of_places.flatten()[region.present]
        return torch.cat([of_present.new_zeros(self._start), of_present])[None, None, None]

    def begin_pass(self, forward_pass: ForwardPass, *, flow_used: bool = True) -> None:
        """Set the pass that the next `attend` calls belong to.

        Donors that are the same at every step are written once per block. The clean pass always writes, from the
        restoration sources, and so overwrites them: after it they are due again.

        Args:
            forward_pass: the pass.
            flow_used: False: `attend` ends the pass by `PassDone` where nothing more than the flow would come.
        """
        self.forward_pass = forward_pass
        self._flow_used = flow_used
        self._due = forward_pass.clean or self._per_step or not self._donors_written
        self._donors_written = not forward_pass.clean

    @property
    def splits(self) -> bool:
        """Whether attention may be split over keys, see `lipar.attention.waves`: in the fast engines, of blocks."""
        return self.fused and self._cache.persistent

    @property
    def kind_of_pass(self) -> Hashable:
        """What distinguishes the current pass from others of this block, but for what it reads.

        Whether it is the clean pass, whether donors are written, and the step where the noise source tells steps apart.
        """
        forward_pass = self.forward_pass
        step = forward_pass.step if self._per_step and not forward_pass.clean else None
        return forward_pass.clean, self._due, step, self._flow_used

    def resume_pass(self, forward_pass: ForwardPass, kind: Hashable) -> None:
        """Be in a pass of this kind again, as a recording of it was made.

        Args:
            forward_pass: the pass of which `kind` was the `kind_of_pass`.
            kind: of `kind_of_pass`.
        """
        assert isinstance(kind, tuple)
        self.forward_pass, self._due, self._flow_used = forward_pass, kind[1], kind[3]

    def noise_key(self) -> Hashable | None:
        """The noise source's state, see `NoiseSource.replay_key`; None: it cannot be recorded."""
        return () if self._noise is None else self._noise.replay_key()

    @property
    def why_not_recorded(self) -> str:
        """Why the passes of the block cannot be recorded; empty if they can."""
        if self.layout.origins is not None:
            return "pruned tokens come from other places than their own"
        regions = (self._denoise, self._clean)
        if any(region.attended is not None or region.bias is not None for region in regions):
            return "the recovery weighs places, or leaves kept tokens out of attention"
        return ""

    @cached_property
    def signature(self) -> Hashable | None:
        """What the passes of two blocks must have in common to do the same to different `tensors`.

        None: they cannot be recorded, since a mask of its own size is read in every block.
        """
        if self.why_not_recorded:
            return None
        layout, regions = self.layout, (self._denoise, self._clean)
        return (
            layout.grid, layout.kept_count, layout.has_history, layout.kept_per_frame[-1] > 0,
            self._start, self._cache.generation, self._noise is None, self.fused,
            *((region.end, region.places.shape[0], region.donors is None) for region in regions),
        )  # fmt: skip

    def tensors(self) -> tuple[Tensor, ...]:
        """All tensors that passes read, except for those of the KV cache and of the noise source, in a fixed order."""
        rotations = [self._kept_rotation] + ([] if self._block_rotation is None else [self._block_rotation])
        return (
            *self.layout.tensors(),
            *(part for rotation in rotations for part in (rotation.cos, rotation.sin)),
            *self._denoise.tensors(),
            *(() if self._clean is self._denoise else self._clean.tensors()),
        )

    def with_own_tensors(self) -> "BlockContext":
        """The same context with copies of `tensors`, which may be overwritten by those of another block."""
        copied = copy.copy(self)
        copied.layout = self.layout.with_own_tensors()
        copied._kept_rotation = self._kept_rotation.clone()
        copied._block_rotation = None if self._block_rotation is None else self._block_rotation.clone()
        copied._denoise = self._denoise.with_own_tensors()
        copied._clean = copied._denoise if self._clean is self._denoise else self._clean.with_own_tensors()
        return copied

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel = sdpa) -> Heads:
        """Attention output of the kept tokens, from their un-rotated queries, keys and values.

        Writes this block's rows of the layer; in the clean pass also the un-rotated keys that become history.

        Raises:
            PassDone: nothing but an unused flow would come after this layer.
        """
        region = self._clean if self.forward_pass.clean else self._denoise
        bias = () if region.bias is None else (region.bias.to(q.dtype),)
        if not self._cache.persistent and not region.places.shape[0] and region.attended is None:
            # no history and no place to fill: the context is the kept tokens themselves
            return kernel(*rotate_both(q, k, self._kept_rotation), v, *bias)
        rows = self._cache.layer(layer_idx, k, self._start + self.layout.token_count)
        donation = self._donation(layer_idx, region, rows, k, v)
        write = self._write_fused if self.fused and region.attended is None else self._write_plain
        q_rotated = write(donation, region, rows, q)
        if self._noise is not None:
            observe = self._noise.observe_clean if self.forward_pass.clean else self._noise.observe
            observe(donation)
        if not self._flow_used and layer_idx == self._cache.num_layers - 1:
            raise PassDone
        return kernel(q_rotated, rows.k_rotated[:, : region.end], rows.v[:, : region.end], *bias)

    def _donation(self, layer_idx: int, region: Region, rows: LayerRows, k: Heads, v: Heads) -> Donation:
        pruned_any = self.layout.kept_count < self.layout.token_count
        history_k, history_v = rows.frame_before(self._start, self.layout) if pruned_any else (None, None)
        return Donation(
            layer_idx=layer_idx,
            forward_pass=self.forward_pass,
            layout=self.layout,
            places=region.places,
            history_k=history_k,
            history_v=history_v,
            k=k,
            v=v,
        )

    def _write_fused(self, donation: Donation, region: Region, rows: LayerRows, q: Heads) -> Heads:
        """Write kept rows in one launch, and donors in another; returns the rotated queries."""
        k, v, clean = donation.k, donation.v, self.forward_pass.clean
        buffers = (rows.k, rows.k_rotated, rows.v)
        q_rotated = write_kept(q, k, v, self._kept_rotation, region.kept_slots, buffers, raw=clean)
        assert q_rotated is not None
        if self._due and region.places.shape[0]:
            if region.donors is None:
                self._write_donors(donation, region, rows)
            else:
                shift, noise = None, None if clean else self._noise
                if noise is not None:
                    (k, v), shift = noise.donor_states(donation), noise.donor_shift(donation)
                write_donors(
                    k, v, region.donors, shift, region.fill_rotation, region.fill_slots, buffers,
                    start=self._start, raw=clean,
                )  # fmt: skip
        return q_rotated

    def _write_plain(self, donation: Donation, region: Region, rows: LayerRows, q: Heads) -> Heads:
        """The same by operations of PyTorch alone."""
        k, v, clean = donation.k, donation.v, self.forward_pass.clean
        if clean and region.present is None:
            self._write_whole(rows, k, v)
        else:
            k_rotated = rotate(k, self._kept_rotation)
            self._write(rows, region.kept_slots, k, k_rotated, v, region.attended)
            if self._due and region.places.shape[0]:
                self._write_donors(donation, region, rows)
        return rotate(q, self._kept_rotation)

    def _write_whole(self, rows: LayerRows, k: Heads, v: Heads) -> None:
        # the clean pass fills in sequence, so kept and filled rows can be written together, in their order
        start, end = self._start, self._start + self.layout.token_count
        if self.layout.kept_count < self.layout.token_count:
            history_k, history_v = rows.frame_before(start, self.layout)
            k, v = self.layout.fill(history_k, k), self.layout.fill(history_v, v)
        rows.k[:, start:end] = k
        rows.v[:, start:end] = v
        assert self._block_rotation is not None
        rotate(k, self._block_rotation, out=rows.k_rotated[:, start:end])

    def _write_donors(self, donation: Donation, region: Region, rows: LayerRows) -> None:
        noise = None if self.forward_pass.clean else self._noise
        k, v = sequence_donors(donation) if noise is None else noise.donors(donation)
        self._write(rows, region.fill_slots, k, rotate(k, region.fill_rotation), v, None)

    def _write(
        self, rows: LayerRows, slots: Indices, k: Heads, k_rotated: Heads, v: Heads, chosen: Tensor | None
    ) -> None:
        if chosen is not None:
            k, k_rotated, v = (x.index_select(1, chosen) for x in (k, k_rotated, v))
        rows.k_rotated.index_copy_(1, slots, k_rotated)
        rows.v.index_copy_(1, slots, v)
        if self.forward_pass.clean:
            rows.k.index_copy_(1, slots, k)

    def commit(self, drop_frames: int = 0) -> None:
        """Make the clean pass's rows of this block history.

        Args:
            drop_frames: leading frames to forget, where a scene began inside the block.
        """
        self._cache.commit(self.layout, self._clean.present, drop_frames)
