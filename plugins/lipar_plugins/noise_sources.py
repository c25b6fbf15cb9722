"""Built-in noise sources: whose keys and values stand in for pruned tokens during the denoise steps."""

from typing import Literal

import attrs
import torch
from attrs.validators import in_
from torch import Tensor

from lipar.attention.donors import in_block_first, in_block_times, sequence_donors
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.plugin.registry import Registry
from lipar.protocols import Donation
from lipar.types import Heads, Indices
from lipar_plugins.donors import DonorRule
from lipar_plugins.noise_levels import Filtering, ImageCondition
from lipar_plugins.step_shift import StepShift


@attrs.define
class CleanHistory(DonorRule):
    """The clean keys and values of the last frame before the block, from the KV cache (the paper's).

    Copying a noisy key breaks the independence of the noise: the score term eps W eps gets mean tr(W) instead of 0
    (Eq. 9 of arXiv 2603.05811); a clean one does not, but its noise level is not the one that the step expects.
    """

    def donor_rows(self, layout: TokenLayout, places: Indices) -> Indices:
        """The position of each place in the frame before the block."""
        return layout.position_before(places)

    def replay_key(self) -> tuple[()]:
        """Nothing: no state is kept."""
        return ()


@attrs.define
class NoisyChain(DonorRule):
    """The keys and values of each token's restoration source in the same pass, noisy if it is in the block.

    The released code without noise-aware duplication: an ablation that shows why clean donors are needed.
    """

    per_step = True
    needs = frozenset[str]()

    def ready(self, layout: TokenLayout) -> bool:
        """Always: the source is in the block or in the KV cache."""
        return True

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Keys and values of each place's restoration source, in this pass."""
        return sequence_donors(donation)

    def donor_rows(self, layout: TokenLayout, places: Indices) -> Indices:
        """The restoration source of each place."""
        return layout.sources(places)

    def replay_key(self) -> tuple[()]:
        """Nothing: no state is kept."""
        return ()

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """The frame of the restoration source; -1 before the block."""
        return in_block_times(layout, places, torch.full_like(places, -1))


@attrs.define(kw_only=True)
class StepMatched(DonorRule):
    """The previous block's last frame at the *same denoise step*: the same noise level with other noise.

    A place that was itself pruned gives what it was filled with. Costs one frame of keys and values per
    layer and step (287 MB a step for Wan 1.3B at 480p in bf16). Beyond the paper; measured in
    docs/laboratory/results.md.
    """

    frame: Literal["last", "same"] = attrs.field(default="last", validator=in_(("last", "same")))
    """`last`: all of the block takes the previous block's last frame; `same`: frame f takes its frame f, and a whole
    block is kept per layer and step."""
    in_block: bool = True
    """If there is a kept token earlier in the block, take its key and value of this pass instead: newer, at the
    right noise level, but with the noise that the kept token itself has. Nearer to dense by 0.65 +-0.32 dB on kept
    tokens (docs/laboratory/results.md)."""

    per_step = True

    _k: dict[tuple[int, int], Tensor] = attrs.field(factory=dict, init=False)
    _v: dict[tuple[int, int], Tensor] = attrs.field(factory=dict, init=False)

    def ready(self, layout: TokenLayout) -> bool:
        """After the first block of a scene."""
        return bool(self._k)

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """What was stored at this step, or a kept token earlier in the block."""
        key = (donation.layer_idx, donation.forward_pass.step)
        index = self._stored_at(donation.layout, donation.places)
        k, v = self._k[key].index_select(1, index), self._v[key].index_select(1, index)
        return in_block_first(donation, k, v) if self.in_block else (k, v)

    def _stored_at(self, layout: TokenLayout, places: Indices) -> Indices:
        """Where the stored donor of each place is; it moves with the picture, as far as this block knows."""
        if self.frame == "last":
            return layout.position_before(places)
        if layout.origins is None:
            return places
        return places - layout.position(places) + layout.position_before(places)

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """A frame of the previous block, or of a kept token earlier in this one."""
        before = torch.full_like(places, -1)
        if self.frame == "same":
            before = places // layout.tokens_per_frame - layout.frames
        return in_block_times(layout, places, before) if self.in_block else before

    def observe(self, donation: Donation) -> None:
        """Store this step's keys and values, pruned places filled, for the next block."""
        key, layout = (donation.layer_idx, donation.forward_pass.step), donation.layout
        places = self._stored_places(layout)
        if key not in self._k:
            # a scene that does not begin with a whole block: its pruned places give what they are restored from
            self._k[key] = layout.fill(donation.history_k, donation.k, places)
            self._v[key] = layout.fill(donation.history_v, donation.v, places)
            return
        self._move(layout, key)
        if self.in_block:
            passed_on = attrs.evolve(donation, places=places)
            self._k[key], self._v[key] = in_block_first(passed_on, self._k[key], self._v[key])
        else:
            row = 0 if self.frame == "same" else layout.kept_count - layout.kept_per_frame[-1]
            index = layout.kept[row:] - (layout.token_count - places.shape[0])
            self._k[key].index_copy_(1, index, donation.k[:, row:])
            self._v[key].index_copy_(1, index, donation.v[:, row:])

    def skip(self, layout: TokenLayout) -> None:
        """Move what is stored with the picture."""
        for key in self._k:
            self._move(layout, key)

    def _move(self, layout: TokenLayout, key: tuple[int, int]) -> None:
        """Bring what is stored to the positions of the block's last frame, or of each of its frames."""
        if layout.origins is None:
            return
        index = self._stored_at(layout, self._stored_places(layout))
        self._k[key], self._v[key] = (stored[key].index_select(1, index) for stored in (self._k, self._v))

    def _stored_places(self, layout: TokenLayout) -> Indices:
        first = 0 if self.frame == "same" else layout.token_count - layout.tokens_per_frame
        return torch.arange(first, layout.token_count, device=layout.keep_mask.device)

    def reset(self) -> None:
        """Drop what is stored."""
        self._k.clear()
        self._v.clear()

    def frames_held(self, block_frames: int) -> int:
        """One frame, or a whole block with `frame = "same"`."""
        return block_frames if self.frame == "same" else 1


@hookimpl
def lipar_register_noise_sources(registry: Registry) -> None:
    """Register the built-in noise sources."""
    registry.add("kv-cache", CleanHistory)
    registry.add("step-matched", StepMatched)
    registry.add("step-shift", StepShift)
    registry.add("noisy-chain", NoisyChain)
    registry.add("image-condition", ImageCondition)
    registry.add("filtering", Filtering)
