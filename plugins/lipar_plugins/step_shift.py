"""The noise source `step-shift`: clean donors, moved to the noise level of the step by the mean of what noise added."""

from collections.abc import Hashable
from typing import Literal

import attrs
import torch
from attrs.validators import in_
from torch import Tensor

from lipar.attention.donors import clean_copies, in_block_first, in_block_times
from lipar.attention.kernels import mean_of_rows
from lipar.bounds import Within
from lipar.layout import TokenLayout
from lipar.protocols import Donation
from lipar.types import Heads, Indices
from lipar_plugins.donors import DonorRule
from lipar_plugins.noise_levels import Level, gap, gaps, level_of, of_kept, raised


def _memory_of(level: Level) -> Level:
    """Memory for such a level; no tensors of the inference mode, which could not be overwritten outside of it."""
    with torch.inference_mode(False):
        return tuple(torch.empty_like(part, memory_format=torch.contiguous_format) for part in level)


def of_last_frame(donation: Donation, *, spread: bool, into: Level | None = None) -> Level:
    """Level of this pass's kept tokens in the block's last frame, of which there is at least one.

    Args:
        donation: a layer in one pass.
        spread: measure the variances, too.
        into: where to write; None: new tensors.
    """
    layout = donation.layout
    if spread:
        row = layout.kept_count - layout.kept_per_frame[-1]
        level = level_of(donation.k[:, row:], donation.v[:, row:], spread=True)
        for old, new in zip(into or (), level, strict=False):
            old.copy_(new)
        return into or level
    # over all tokens with weights, whichever are kept, so that a CUDA graph can run it again
    level = into or _memory_of((donation.k[:, :1], donation.v[:, :1]))
    out = (level[0], level[1])
    mean_of_rows(donation.k, donation.v, layout.last_frame_weights, layout.before_last_frame, out)
    return level


@attrs.define(kw_only=True)
class StepShift(DonorRule):
    """Clean donors moved to the step's noise level by one mean shift of keys and values per layer and step.

    The offset that all clean donors share does the harm, since it does not average out over the pruned places. One pair
    of vectors per layer and step removes it, so no frames are stored. Beyond the paper; measured in
    docs/laboratory/results.md.
    """

    measured_on: Literal["previous-block", "kept-tokens"] = attrs.field(
        default="previous-block", validator=in_(("previous-block", "kept-tokens"))
    )
    """Which tokens are compared, noisy with clean.

    `previous-block`: kept tokens of its last frame, at this step and in its clean pass, so that the content is the
    same. Filled ones are left out, since they have the shift that they were given. `kept-tokens`: this block's, in this
    pass, with the clean frame before the block at their positions: nothing is stored, but the content has changed.
    """
    momentum: float = attrs.field(
        default=0.0, validator=Within(0, 0.999, "a share of the shift known so far; 1 would never change it")
    )
    """Share of the shift known so far in a running average over blocks."""
    in_block: bool = True
    """If there is a kept token earlier in the block, take its key and value of this very pass instead."""
    fresh_noise: bool = False
    """Add Gaussian noise, so that donors have the variance of the step's tokens per channel, too."""

    per_step = True

    _noisy: dict[tuple[int, int], Level] = attrs.field(factory=dict, init=False)
    """Levels of the last frame's kept tokens in this block, by layer and step."""
    _shift: dict[tuple[int, int], Level] = attrs.field(factory=dict, init=False)

    _memory: dict[tuple[str, int, int], Level] = attrs.field(factory=dict, init=False)
    """Where both are, for as long as the source lives: CUDA graphs read and write there, also after a reset."""

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Clean copies plus the shift of this step, or a kept token earlier in the block."""
        k, v = clean_copies(donation)
        shift = self._known_shift(donation)
        if shift is not None:
            k, v = raised(donation, k, v, shift)
        return in_block_first(donation, k, v) if self.in_block else (k, v)

    def donor_rows(self, layout: TokenLayout, places: Indices) -> Indices | None:
        """A kept token earlier in the block, or the position in the frame before it; None with fresh noise."""
        if self.fresh_noise:
            return None
        return layout.sources(places) if self.in_block else layout.position_before(places)

    def donor_shift(self, donation: Donation) -> tuple[Tensor, Tensor] | None:
        """The shift of this layer and step; None before the first block has ended."""
        shift = self._known_shift(donation)
        return None if shift is None else (shift[0], shift[1])

    def _known_shift(self, donation: Donation) -> Level | None:
        key = (donation.layer_idx, donation.forward_pass.step)
        if self.measured_on == "kept-tokens":
            self._learn(key, gap(*of_kept(donation, spread=self.fresh_noise)))
        return self._shift.get(key)

    def _learn(self, key: tuple[int, int], measured: Level) -> None:
        known = self._shift.get(key)
        if known is not None and self.momentum:
            measured = tuple(
                torch.lerp(new, old, self.momentum) for new, old in zip(measured, known, strict=True)
            )
        self._shift[key] = self._memory_for("shift", key, measured)
        torch._foreach_copy_(self._shift[key], measured)

    def _memory_for(self, what: str, key: tuple[int, int], like: Level) -> Level:
        stored = self._memory.get((what, *key))
        if stored is None or stored[0].shape != like[0].shape:
            stored = self._memory[(what, *key)] = _memory_of(like)
        return stored

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """The frame before the block, or of a kept token earlier in it."""
        before = torch.full_like(places, -1)
        return in_block_times(layout, places, before) if self.in_block else before

    def observe(self, donation: Donation) -> None:
        """Measure the kept tokens of the last frame, for the shift of the next block."""
        if self._measures(donation):
            key = (donation.layer_idx, donation.forward_pass.step)
            one = (donation.k[:, :1], donation.v[:, :1])
            stored = self._memory_for("noisy", key, one * 2 if self.fresh_noise else one)
            self._noisy[key] = stored
            of_last_frame(donation, spread=self.fresh_noise, into=stored)

    def observe_clean(self, donation: Donation) -> None:
        """Compare what was measured in this block's steps with the same tokens in its clean pass."""
        keys = [key for key in self._noisy if key[0] == donation.layer_idx]
        if not keys or not self._measures(donation):
            return
        clean = of_last_frame(donation, spread=self.fresh_noise)
        for key, added in zip(keys, gaps([self._noisy[key] for key in keys], clean), strict=True):
            self._learn(key, added)

    def _measures(self, donation: Donation) -> bool:
        return self.measured_on == "previous-block" and donation.layout.kept_per_frame[-1] > 0

    def replay_key(self) -> Hashable | None:
        """Which levels and shifts are known; None with fresh noise, which is drawn for each block."""
        return None if self.fresh_noise else (len(self._noisy), len(self._shift))

    def reset(self) -> None:
        """Drop all shifts."""
        self._noisy.clear()
        self._shift.clear()
