"""Built-in criteria on latents: how far the values of a token are from those of its reference.

All are at least 0 and 0 for equal tokens, so that a still picture is pruned at any threshold. Criteria that
compare something else are in `criteria_pixels`, combinations of criteria in `criteria_combined`, random distances in
`criteria_random`.

Default thresholds keep the fraction that `l1` keeps at the autoencoder's thresholds, measured on the five development
clips in the latents of the bundled model (0.148 and 0.296). There differences of latents are nearly Laplacian: their
root mean square over their mean is 1.41 (Laplacian 1.41, Gaussian 1.25), their trimmed mean over it 0.74 (0.76, 0.88).
"""

from math import exp, log
from typing import Literal

import attrs
import torch
import torch.nn.functional as F
from attrs.validators import in_
from jaxtyping import Float
from torch import Tensor

from lipar.bounds import Within
from lipar.hookspecs import hookimpl
from lipar.plugin.registry import Registry
from lipar.protocols import Criterion
from lipar.types import ChangeMap, Features
from lipar_plugins.criteria_combined import IntersectionCriterion, UnionCriterion
from lipar_plugins.criteria_pixels import MaskCriterion, PixelCriterion
from lipar_plugins.criteria_random import RandomCriterion


@attrs.frozen(kw_only=True)
class L1(Criterion):
    """Mean absolute difference."""

    l1_ratio = 1.0

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """Mean absolute difference of each token's values."""
        return _absolute_difference(current, reference).mean(dim=-1)


@attrs.frozen(kw_only=True)
class TrimmedL1(Criterion):
    """Mean absolute difference without the smallest and the largest values, as in the authors' code.

    Of the N sorted differences of a token those at `int(trim * N)` up to `int((1 - trim) * N)` count.
    """

    trim: float = attrs.field(
        default=0.2, validator=Within(0, 0.49, "a half and more at either end would leave nothing")
    )
    """Fraction left out at either end."""

    @property
    def l1_ratio(self) -> float:
        """Trimmed mean over mean of the absolute value of Laplacian differences, 0.76 at a trim of 0.2."""
        if self.trim == 0:
            return 1.0
        lowest, highest = -log(1 - self.trim), -log(self.trim)
        kept = (lowest + 1) * exp(-lowest) - (highest + 1) * exp(-highest)
        return kept / (1 - 2 * self.trim)

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """Trimmed mean of each token's absolute differences."""
        difference = _absolute_difference(current, reference)
        count = difference.shape[-1]
        lowest = int(self.trim * count)
        highest = max(int((1 - self.trim) * count), lowest + 1)
        if difference.device.type != "cpu":
            return difference.sort(dim=-1).values[..., lowest:highest].mean(dim=-1)
        values_first = difference.flatten(0, 2).T.contiguous()
        return sort_first_axis(values_first)[lowest:highest].mean(dim=0).view(difference.shape[:-1])


@attrs.frozen(kw_only=True)
class L2(Criterion):
    """Root mean square difference."""

    normalise: Literal["rms", "released"] = attrs.field(default="rms", validator=in_(("rms", "released")))
    """`released`: the norm divided by the count N, as in the authors' code, which is sqrt(N) times lower."""

    @property
    def l1_ratio(self) -> float | None:
        """Root mean square over mean of Laplacian differences; None as released, where it depends on N."""
        return 2**0.5 if self.normalise == "rms" else None

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """Root mean square difference of each token's values."""
        norm = _length(current.float() - reference.float())
        count = current.shape[-1]
        return norm / (count if self.normalise == "released" else count**0.5)


@attrs.frozen(kw_only=True)
class Cosine(Criterion):
    """One minus the cosine of the angle between tokens: 0 to 2, independent of their length."""

    taus = (0.03, 0.13)

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """One minus the cosine, 0..2; 0 for equal tokens, also of length 0."""
        current, reference = current.float(), reference.float()
        lengths = _length(current) * _length(reference)
        cosine = (current * reference).sum(dim=-1) / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)
        # equal tokens of length 0 have no angle, and rounding can put a cosine above 1
        equal = (current == reference).all(dim=-1)
        return (1 - cosine).clamp(min=0).masked_fill(equal, 0)


@attrs.frozen(kw_only=True)
class RelativeL1(Criterion):
    """Mean absolute difference over the local signal level, so that thresholds carry over between autoencoders.

    The level of a place is the mean absolute deviation of the values around it from their own mean over 3x3 tokens,
    taken over those tokens once more, and averaged over both frames. Where a picture is flat, that level is the
    autoencoder's noise; hence a floor, which is a fraction of the same level averaged over the frame. Both scale with
    the latents, so that a factor on all of them changes nothing. An autoencoder whose noise is a larger part of the
    signal still needs larger thresholds.
    """

    floor: float = attrs.field(
        default=0.5,
        validator=Within(0.001, 1, "a fraction of the frame's level; 0 would leave none where it is flat"),
    )
    """Least level of a place, as a fraction of the frame's."""

    taus = (0.35, 0.7)

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        """Mean absolute difference over the level, without a unit."""
        distance = _absolute_difference(current, reference).mean(dim=-1)
        local = (_deviation(current) + _deviation(reference)) / 2
        level = local.maximum(self.floor * local.mean(dim=(1, 2), keepdim=True))
        # a frame without any structure has level 0: there every difference counts as large
        return distance / level.clamp(min=1e-12)


def _deviation(tokens: Features) -> ChangeMap:
    """Mean absolute deviation of the values of 3x3 tokens from their mean; at the edges of the tokens that exist."""
    values_first = tokens.float().movedim(-1, 1)
    deviation = (values_first - _mean_around(values_first)).abs().mean(dim=1, keepdim=True)
    return _mean_around(deviation)[:, 0]


def _mean_around(values: Float[Tensor, "t n rows cols"]) -> Float[Tensor, "t n rows cols"]:
    return F.avg_pool2d(values, 3, stride=1, padding=1, count_include_pad=False)


def _absolute_difference(current: Features, reference: Features) -> Features:
    # half precision would round distances to about a percent of a threshold
    return (current.float() - reference.float()).abs()


def _length(tokens: Features) -> ChangeMap:
    length: Tensor = torch.linalg.vector_norm(tokens, dim=-1)
    return length


def sort_first_axis(values: Float[Tensor, "n places"]) -> Float[Tensor, "n places"]:
    """Sort every column, ascending, by a bitonic network of whole-row minima and maxima.

    For many short columns on a CPU this takes a third of the time of `torch.sort`, which goes
    column by column.
    """
    count, places = values.shape
    size = 1 << (count - 1).bit_length()
    if size > count:
        values = torch.cat([values, values.new_full((size - count, places), torch.inf)])
    merged = 1
    while merged < size:
        stride = merged
        while stride >= 1:
            pairs = values.view(size // (2 * stride), 2, stride, places)
            lower, upper = pairs[:, 0], pairs[:, 1]
            if stride == merged:  # two ascending runs make a bitonic one if the second is reversed
                upper = upper.flip(1)
            small, large = torch.minimum(lower, upper), torch.maximum(lower, upper)
            if stride == merged:
                large = large.flip(1)
            values = torch.stack([small, large], dim=1)
            stride //= 2
        merged *= 2
    return values.view(size, places)[:count]


@hookimpl
def lipar_register_criteria(registry: Registry) -> None:
    """Register the built-in criteria."""
    registry.add("l1", L1)
    registry.add("l1-trimmed", TrimmedL1)
    registry.add("l2", L2)
    registry.add("cosine", Cosine)
    registry.add("relative-l1", RelativeL1)
    registry.add("pixel", PixelCriterion)
    registry.add("mask", MaskCriterion)
    registry.add("random", RandomCriterion)
    registry.add("union", UnionCriterion)
    registry.add("intersection", IntersectionCriterion)
