"""Pearson correlation from sums, so that clips can be pooled without their values."""

import math
from collections.abc import Iterable

import attrs
from jaxtyping import Float
from torch import Tensor

Values = Float[Tensor, " n"]


@attrs.frozen(kw_only=True)
class Sums:
    """Count, means and centred sums of pairs of values (Chan, Golub and LeVeque 1979, for adding two of them)."""

    count: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    xx: float = 0.0
    yy: float = 0.0
    xy: float = 0.0

    @classmethod
    def of(cls, x: Values, y: Values) -> "Sums":
        """Those of two series.

        Args:
            x: one value of each pair.
            y: the other.
        """
        if not len(x):
            return cls()
        one, other = x.double(), y.double()
        mean_x, mean_y = one.mean(), other.mean()
        one, other = one - mean_x, other - mean_y
        return cls(
            count=len(x),
            mean_x=float(mean_x),
            mean_y=float(mean_y),
            xx=float(one.square().sum()),
            yy=float(other.square().sum()),
            xy=float((one * other).sum()),
        )

    def __add__(self, other: "Sums") -> "Sums":
        """The sums of both sets of pairs together."""
        count = self.count + other.count
        if not self.count or not other.count:
            return self if self.count else other
        dx, dy = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        share, weight = other.count / count, self.count * other.count / count
        return Sums(
            count=count,
            mean_x=self.mean_x + dx * share,
            mean_y=self.mean_y + dy * share,
            xx=self.xx + other.xx + dx * dx * weight,
            yy=self.yy + other.yy + dy * dy * weight,
            xy=self.xy + other.xy + dx * dy * weight,
        )

    @property
    def pearson(self) -> float | None:
        """The correlation, -1 to 1; None where one of the two never varies."""
        scale = math.sqrt(self.xx * self.yy)
        return self.xy / scale if scale > 0 else None


def pooled(parts: Iterable[Sums]) -> Sums:
    """The sums of all pairs of all parts.

    Args:
        parts: those of clips.
    """
    return sum(parts, Sums())
