"""Built-in criteria: how far the latent values of a token are from those of its reference.

All are at least 0 and 0 for equal tokens, so that a still picture is pruned at any threshold.
"""

from typing import Literal

import attrs
import torch
from attrs.validators import and_, ge, in_, lt
from jaxtyping import Float
from torch import Tensor

from lipar.hookspecs import hookimpl
from lipar.registry import Registry
from lipar.types import ChangeMap, Features


@attrs.frozen(kw_only=True)
class L1:
    """Mean absolute difference."""

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        return _absolute_difference(current, reference).mean(dim=-1)


@attrs.frozen(kw_only=True)
class TrimmedL1:
    """Mean absolute difference without the smallest and the largest values, as the authors' code has it.

    Of the N sorted differences of a token those at `int(trim * N)` up to `int((1 - trim) * N)` count.
    """

    trim: float = attrs.field(default=0.2, validator=and_(ge(0.0), lt(0.5)))
    """Fraction left out at either end."""

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        difference = _absolute_difference(current, reference)
        count = difference.shape[-1]
        lowest = int(self.trim * count)
        highest = max(int((1 - self.trim) * count), lowest + 1)
        if difference.device.type != "cpu":
            return difference.sort(dim=-1).values[..., lowest:highest].mean(dim=-1)
        values_first = difference.flatten(0, 2).T.contiguous()
        return sort_first_axis(values_first)[lowest:highest].mean(dim=0).view(difference.shape[:-1])


@attrs.frozen(kw_only=True)
class L2:
    """Root mean square difference."""

    normalise: Literal["rms", "released"] = attrs.field(default="rms", validator=in_(("rms", "released")))
    """`released`: the norm divided by the count N, as in the authors' code, which is sqrt(N) times lower."""

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        norm = _length(current.float() - reference.float())
        count = current.shape[-1]
        return norm / (count if self.normalise == "released" else count**0.5)


@attrs.frozen(kw_only=True)
class Cosine:
    """One minus the cosine of the angle between tokens: 0 to 2, blind to their length."""

    def __call__(self, current: Features, reference: Features) -> ChangeMap:
        current, reference = current.float(), reference.float()
        lengths = _length(current) * _length(reference)
        cosine = (current * reference).sum(dim=-1) / lengths.clamp(min=torch.finfo(lengths.dtype).tiny)
        # equal tokens of length 0 have no angle, and rounding can put a cosine above 1
        equal = (current == reference).all(dim=-1)
        return (1 - cosine).clamp(min=0).masked_fill(equal, 0)


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
            if stride == merged:  # two ascending runs make a bitonic one when the second is turned round
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
    registry.add("l1", L1)
    registry.add("l1-trimmed", TrimmedL1)
    registry.add("l2", L2)
    registry.add("cosine", Cosine)
