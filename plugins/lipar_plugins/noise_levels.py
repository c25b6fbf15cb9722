"""Noise sources that move donors from one noise level to another, by the mean and variance of tokens at each.

A denoise pass expects tokens at its noise level; clean keys and values differ by an offset that all of them share
and that does not average out over the pruned places. Noise is added to latents: a donor with new noise of its own would
have to run through the whole network as a noisy latent, which costs what pruning saved. Keys and values themselves can
only be given the right mean and variance, channel by channel; nothing here does more.
"""

from collections.abc import Sequence
from typing import TypeAlias

import attrs
import torch
from torch import Tensor

from lipar.attention.donors import clean_copies, in_block_first, in_block_times, sequence_donors
from lipar.layout import TokenLayout
from lipar.protocols import Donation
from lipar.types import Heads, Indices
from lipar_plugins.donors import DonorRule

Level: TypeAlias = tuple[Tensor, ...]
"""Means of keys and of values over tokens, `b 1 heads head_dim`; with their spread, also the two variances."""


def level_of(k: Heads, v: Heads, *, spread: bool) -> Level:
    """Mean of tokens, and their variance if asked for, per channel, in the tokens' own type.

    For 30 layers of 1536 channels this takes 0.2 MB a step in bf16.

    Args:
        k: keys of at least one token.
        v: their values.
        spread: measure the variances, too.
    """
    if not spread:
        return tuple(x.mean(1, keepdim=True, dtype=torch.float32).to(x.dtype) for x in (k, v))
    moments = [torch.var_mean(x.float(), dim=1, keepdim=True, correction=0) for x in (k, v)]
    return tuple(moment.to(k.dtype) for moment in (*(m[1] for m in moments), *(m[0] for m in moments)))


def gap(noisy: Level, clean: Level) -> Level:
    """What noise adds to means and variances.

    Noise cannot lower a variance; where the difference of a few tokens is negative, that is chance, and 0 is taken.
    """
    return gaps([noisy], clean)[0]


def gaps(noisy: Sequence[Level], clean: Level) -> list[Level]:
    """As `gap`, of several levels to one; the differences of all are one launch on a GPU."""
    parts = torch._foreach_sub([part for level in noisy for part in level], list(clean) * len(noisy))
    each = [parts[first : first + len(clean)] for first in range(0, len(parts), len(clean))]
    return [(*added[:2], *(variance.clamp(min=0) for variance in added[2:])) for added in each]


def raised(donation: Donation, k: Heads, v: Heads, added: Level) -> tuple[Heads, Heads]:
    """Clean donors with the mean that noise adds and, if `added` has variances, with Gaussian noise of these.

    The noise is drawn per (frame, layer, step), shared by guidance branches, independent between channels and
    between keys and values, unlike the noise that a network would make of noisy latents.
    """
    k, v = k + added[0], v + added[1]
    if len(added) == 2:
        return k, v
    layout, at = donation.layout, donation.forward_pass.step * 1009 + donation.layer_idx
    generator = torch.Generator(k.device).manual_seed(layout.first_frame * 1_000_003 + at)
    shape = (2, 1, *k.shape[1:])
    drawn = torch.randn(shape, generator=generator, device=k.device, dtype=k.dtype)
    return k + drawn[0] * added[2].sqrt(), v + drawn[1] * added[3].sqrt()


def of_kept(donation: Donation, *, spread: bool) -> tuple[Level, Level]:
    """Levels of this pass's kept tokens, and of their positions in the clean frame before the block."""
    assert donation.history_k is not None and donation.history_v is not None
    position = donation.layout.position_before(donation.layout.kept)
    clean_k, clean_v = (x.index_select(1, position) for x in (donation.history_k, donation.history_v))
    return level_of(donation.k, donation.v, spread=spread), level_of(clean_k, clean_v, spread=spread)


@attrs.define(kw_only=True)
class Filtering(DonorRule):
    """Clean estimates of noisy tokens: the restoration source's key and value of this pass, filtered (Wiener).

    Each channel is moved towards the mean of the clean tokens by clean variance / noisy variance, the best linear
    estimate where noise is independent of content; both are measured on the kept tokens of the pass and on the clean
    frame before the block. Places whose source is that frame take it unchanged. This is not a clean estimate from
    latents (the step before predicts x_0, but its keys and values would need a forward of their own), nor an average
    over a run of equal tokens (only one of a run is computed).

    Without a frame before the block, as in a clip generated in a single pass, nothing clean is known: the gain is
    that of latents of unit variance at the step's noise level, (1 - sigma)^2 / ((1 - sigma)^2 + sigma^2), and the mean
    that of the step's kept tokens, so that donors stay at its noise level.
    """

    fresh_noise: bool = False
    """Move the estimates to the mean of the step's tokens and add Gaussian noise of the variance that noise adds; it
    replaces the noise that they shared with their source."""

    per_step = True
    needs = frozenset[str]()

    def ready(self, layout: TokenLayout) -> bool:
        """Always: the source is in the block or in the KV cache."""
        return True

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Filtered keys and values of each place's restoration source."""
        k, v = self.donor_states(donation)
        filtered = attrs.evolve(donation, k=k, v=v)
        if donation.history_k is None:
            return sequence_donors(filtered)
        k, v = in_block_first(filtered, *clean_copies(donation))
        if not self.fresh_noise:
            return k, v
        noisy, clean = of_kept(donation, spread=True)
        return raised(donation, k, v, gap(noisy, clean))

    def donor_rows(self, layout: TokenLayout, places: Indices) -> Indices | None:
        """The restoration source of each place; None with fresh noise."""
        return None if self.fresh_noise else layout.sources(places)

    def donor_states(self, donation: Donation) -> tuple[Heads, Heads]:
        """The kept tokens' keys and values, filtered."""
        if donation.history_k is None:
            return _filtered_by_sigma(donation)
        noisy, clean = of_kept(donation, spread=True)
        gains = [(c / n.clamp(min=1e-6)).clamp(max=1) for n, c in zip(noisy[2:], clean[2:], strict=True)]
        k, v = (
            mean + gain * (x - from_mean)
            for x, from_mean, mean, gain in zip((donation.k, donation.v), noisy, clean, gains, strict=False)
        )
        return k, v

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """The frame of the restoration source; -1 before the block."""
        return in_block_times(layout, places, torch.full_like(places, -1))


def _filtered_by_sigma(donation: Donation) -> tuple[Heads, Heads]:
    sigma = donation.forward_pass.sigma
    gain = (1 - sigma) ** 2 / ((1 - sigma) ** 2 + sigma**2)
    means = level_of(donation.k, donation.v, spread=False)
    k, v = (torch.lerp(mean, x, gain) for x, mean in zip((donation.k, donation.v), means, strict=True))
    return k, v


@attrs.define(kw_only=True)
class ImageCondition(DonorRule):
    """The clean tokens of a model whose first frame is a given image, in the same pass (the paper's, on Wan 2.2 TI2V).

    For bidirectional models with a timestep for each token: the block is the whole video, its first frame is always
    kept in full, at timestep 0. A model that joins the condition on channels has no clean token; use `noisy-chain`.
    """

    shift: bool = False
    """Bring the copies to the mean of the kept tokens behind the first frame: the step's noise level."""
    fresh_noise: bool = False
    """Likewise to their mean and variance, with Gaussian noise."""

    per_step = True
    needs = frozenset({"clean-first-frame"})

    def ready(self, layout: TokenLayout) -> bool:
        """Only where the first frame is kept in full."""
        return layout.kept_per_frame[0] == layout.tokens_per_frame

    def donors(self, donation: Donation) -> tuple[Heads, Heads]:
        """Keys and values of the first frame, at their own level or the step's."""
        layout = donation.layout
        position, first = layout.position_at(donation.places, 0), layout.tokens_per_frame
        k, v = donation.k.index_select(1, position), donation.v.index_select(1, position)
        if not (self.shift or self.fresh_noise) or layout.kept_count == first:
            return k, v
        return raised(donation, k, v, self._gap(donation))

    def donor_rows(self, layout: TokenLayout, places: Indices) -> Indices | None:
        """The position of each place among the kept tokens, of which the first frame's come first."""
        return None if self.fresh_noise else layout.tokens_per_frame + layout.position_at(places, 0)

    def donor_states(self, donation: Donation) -> tuple[Heads, Heads]:
        """The kept tokens' keys and values, at their own level or the step's."""
        if not self.shift or donation.layout.kept_count == donation.layout.tokens_per_frame:
            return donation.k, donation.v
        shift_k, shift_v = self._gap(donation)
        return donation.k + shift_k, donation.v + shift_v

    def _gap(self, donation: Donation) -> Level:
        first = donation.layout.tokens_per_frame
        noisy = level_of(donation.k[:, first:], donation.v[:, first:], spread=self.fresh_noise)
        clean = level_of(donation.k[:, :first], donation.v[:, :first], spread=self.fresh_noise)
        return gap(noisy, clean)

    def donor_times(self, layout: TokenLayout, places: Indices) -> Indices:
        """The first frame, 0."""
        return torch.zeros_like(places)
