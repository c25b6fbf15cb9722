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

A `Region` says which places are present in a kind of pass, and `_regions` makes the two of them, one for the denoise
steps and one for the clean pass. It takes four decisions:

    absent or filled     a recovery that does not fill leaves pruned places out: only K (the ablation's lower end)
    which copies         a kept token stands for a run of c places; the m most recent are present (Eq. 10-12)
    with which weight    a bias log(c / m) makes m copies count as c (proportional attention, arXiv 2210.09461, Eq. 1)
    at which position    a fill's key is rotated to its own place, e^(l theta) k (Eq. 5), or stays as it was rotated at
                         its donor's place (naive copy)

The clean pass takes none of them: every place is filled from its restoration source (Alg. 2), at its own position,
since these rows become history. Equations are those of arXiv 2603.05811.
"""

import attrs
import torch
import torch.nn.functional as F
from torch import Tensor

from lipar.attention.donors import sequence_donors
from lipar.attention.kv_cache import KVCache, LayerRows
from lipar.attention.rope import PreparedRotation, RotaryEmbedding, prepare_rotation, rotate, take_rows
from lipar.layout import TokenLayout
from lipar.protocols import AttentionKernel, Donation, ForwardPass, NoiseSource, Recovery
from lipar.types import Heads, Indices, Rotation


def sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """PyTorch's fused attention on `b n heads head_dim` tensors; without a bias, so that every fused kernel fits."""
    out = F.scaled_dot_product_attention(
        q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2), attn_mask=bias
    )
    return out.transpose(1, 2)


@attrs.frozen(eq=False, kw_only=True)
class Region:
    """Which places of a block have rows in one kind of pass, and where; see the drawing at the top of this file."""

    end: int
    """Rows of the whole context, this block's included."""
    kept_slots: Tensor
    """Row of each kept token that is attended to."""
    attended: Tensor | None
    """Which kept tokens these are, as indices into them; None: all."""
    places: Tensor
    """Pruned places that are filled, ascending."""
    fill_slots: Tensor
    """Row of each of them."""
    fill_rotation: PreparedRotation
    """Position to which their keys are rotated."""
    present: Tensor | None
    """Places that have a row, ascending; None: all of the block."""
    bias: Tensor | None = None
    """Added to the scores of the whole context's rows, `1 1 1 end`."""


class BlockContext:
    """Self-attention of one block, for all its passes and layers (the `BlockAttention` protocol).

    Args:
        cache: the frames before the block; its rows behind them are written by the passes.
        layout: the block's kept tokens.
        recovery: which places kept queries attend to.
        noise: gives the keys and values of pruned tokens; None: they are absent in the denoise passes.
        rotation: of the block's places, for a model with a table of its own; None: by the cache's time.
    """

    def __init__(
        self,
        cache: KVCache,
        layout: TokenLayout,
        recovery: Recovery,
        noise: NoiseSource | None,
        *,
        rotation: Rotation | None = None,
    ) -> None:
        rope = cache.rope
        self.layout = layout
        self._cache = cache
        self._noise = noise
        self._start = cache.open_block(layout)
        if recovery.fills:
            cache.check_history(layout)
        _, rows, cols = layout.grid
        if rotation is None:
            times = torch.arange(layout.frames, device=layout.keep_mask.device) + cache.block_time
            rotation = rope.grid_rotation(times, rows, cols)
        self._kept_rotation = prepare_rotation(take_rows(rotation, layout.kept))
        self._block_rotation = prepare_rotation(rotation)
        self._denoise, self._clean = self._regions(recovery, rotation, rope)
        # layers that share their rows overwrite each other's donors, so each step writes them again
        self._per_step = noise is not None and (noise.per_step or not cache.persistent)
        self._written = [False] * cache.num_layers
        self.forward_pass = ForwardPass(step=0, sigma=1.0, timestep=1000.0)

    def _regions(
        self, recovery: Recovery, rotation: Rotation, rope: RotaryEmbedding
    ) -> tuple[Region, Region]:
        """The regions of the denoise steps and of the clean pass."""
        # absent or filled
        if not recovery.fills:
            kept_only = self._kept_only(rotation)
            return kept_only, kept_only
        clean = self._region(None, rotation)
        # which copies
        plan = recovery.plan(self.layout)
        denoise = clean if plan.present is None else self._region(plan.present, rotation)
        if denoise.places.shape[0] and (self._noise is None or not self._noise.ready(self.layout)):
            # no donors yet, for example a store of earlier blocks in the first block of a scene
            return self._kept_only(rotation), clean
        # with which weight
        if plan.bias is not None:
            denoise = attrs.evolve(denoise, bias=self._bias(plan.bias, denoise))
        # at which position
        if plan.rotate_to_donor and self._noise is not None:
            cols = self.layout.grid[2]
            times = self._noise.donor_times(self.layout, denoise.places) + self._cache.block_time
            position = self.layout.position(denoise.places)
            at_donor = rope.rotation(times, position // cols, position % cols)
            denoise = attrs.evolve(denoise, fill_rotation=prepare_rotation(at_donor))
        return denoise, clean

    def _bias(self, of_places: Tensor, region: Region) -> Tensor:
        of_present = of_places.flatten() if region.present is None else of_places.flatten()[region.present]
        return torch.cat([of_present.new_zeros(self._start), of_present])[None, None, None]

    def _kept_only(self, rotation: Rotation) -> Region:
        layout = self.layout
        nowhere = layout.kept[:0]
        return Region(
            end=self._start + layout.kept_count,
            kept_slots=torch.arange(layout.kept_count, device=layout.keep_mask.device) + self._start,
            attended=None,
            places=nowhere,
            fill_slots=nowhere,
            fill_rotation=prepare_rotation(take_rows(rotation, nowhere)),
            present=layout.kept,
        )

    def _region(self, present_mask: Tensor | None, rotation: Rotation) -> Region:
        layout, start = self.layout, self._start
        if present_mask is None:
            return Region(
                end=start + layout.token_count,
                kept_slots=layout.kept + start,
                attended=None,
                places=layout.pruned,
                fill_slots=layout.pruned + start,
                fill_rotation=prepare_rotation(take_rows(rotation, layout.pruned)),
                present=None,
            )
        flat = present_mask.flatten()
        present = flat.nonzero().squeeze(1)
        slot_of_place = flat.cumsum(0) - 1 + start  # read only where a place is present
        kept_present = flat[layout.kept]
        places = (flat & ~layout.keep_mask.flatten()).nonzero().squeeze(1)
        everything_attended = bool(kept_present.all())
        attended = None if everything_attended else kept_present.nonzero().squeeze(1)
        kept_places = layout.kept if attended is None else layout.kept[attended]
        return Region(
            end=start + present.shape[0],
            kept_slots=slot_of_place[kept_places],
            attended=attended,
            places=places,
            fill_slots=slot_of_place[places],
            fill_rotation=prepare_rotation(take_rows(rotation, places)),
            present=present,
        )

    def begin_pass(self, forward_pass: ForwardPass) -> None:
        """Set the pass that the next `attend` calls belong to."""
        self.forward_pass = forward_pass

    def attend(self, layer_idx: int, q: Heads, k: Heads, v: Heads, kernel: AttentionKernel = sdpa) -> Heads:
        """Attention output of the kept tokens, from their un-rotated queries, keys and values.

        Writes this block's rows of the layer; in the clean pass also the un-rotated keys that become history.
        """
        region = self._clean if self.forward_pass.clean else self._denoise
        q_rotated = rotate(q, self._kept_rotation)
        bias = () if region.bias is None else (region.bias.to(q.dtype),)
        if not self._cache.persistent and not region.places.shape[0] and region.attended is None:
            # no history and no place to fill: the context is the kept tokens themselves
            return kernel(q_rotated, rotate(k, self._kept_rotation), v, *bias)
        rows = self._cache.layer(layer_idx, k, self._start + self.layout.token_count)
        if self.forward_pass.clean and region.present is None:
            self._write_whole(rows, k, v)
        else:
            self._write(rows, region.kept_slots, k, rotate(k, self._kept_rotation), v, region.attended)
            self._fill(layer_idx, region, rows, k, v)
        return kernel(q_rotated, rows.k_rotated[:, : region.end], rows.v[:, : region.end], *bias)

    def _write_whole(self, rows: LayerRows, k: Heads, v: Heads) -> None:
        # the clean pass fills in sequence, so kept and filled rows can be written together, in their order
        start, end = self._start, self._start + self.layout.token_count
        if self.layout.kept_count < self.layout.token_count:
            history_k, history_v = rows.frame_before(start, self.layout)
            k, v = self.layout.fill(history_k, k), self.layout.fill(history_v, v)
        rows.k[:, start:end] = k
        rows.v[:, start:end] = v
        rotate(k, self._block_rotation, out=rows.k_rotated[:, start:end])

    def _fill(self, layer_idx: int, region: Region, rows: LayerRows, k: Heads, v: Heads) -> None:
        """Write the donors' rows where they are due, and let the noise source see the kept keys and values.

        Donors that are the same at every step are written once per block. The clean pass always writes, from the
        restoration sources, and so overwrites them: after it they are due again.
        """
        clean = self.forward_pass.clean
        due = region.places.shape[0] > 0 and (clean or self._per_step or not self._written[layer_idx])
        watched = self._noise is not None and not clean
        if not due and not watched:
            return
        pruned_any = self.layout.kept_count < self.layout.token_count
        history_k, history_v = rows.frame_before(self._start, self.layout) if pruned_any else (None, None)
        donation = Donation(
            layer_idx=layer_idx,
            forward_pass=self.forward_pass,
            layout=self.layout,
            places=region.places,
            history_k=history_k,
            history_v=history_v,
            k=k,
            v=v,
        )
        if due:
            lends = None if clean else self._noise
            fill_k, fill_v = sequence_donors(donation) if lends is None else lends.donors(donation)
            self._write(rows, region.fill_slots, fill_k, rotate(fill_k, region.fill_rotation), fill_v, None)
            self._written[layer_idx] = not clean
        if watched and self._noise is not None:
            self._noise.observe(donation)

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
