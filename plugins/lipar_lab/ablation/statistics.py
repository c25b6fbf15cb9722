"""Means over clips with Student's t intervals."""

import math
import statistics
from collections.abc import Sequence

import attrs


@attrs.frozen
class Interval:
    """A mean and half the width of its interval."""

    mean: float
    half: float
    """NaN for a single value."""
    count: int

    @property
    def excludes_zero(self) -> bool:
        return abs(self.mean) > self.half


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The interval of the mean of independent values, two-sided, by Student's t.

    Raises:
        ValueError: no value.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    if len(values) == 1:
        return Interval(values[0], math.nan, 1)
    error = statistics.stdev(values) / math.sqrt(len(values))
    return Interval(statistics.fmean(values), t_quantile(confidence, len(values) - 1) * error, len(values))


def t_quantile(confidence: float, freedom: int) -> float:
    """The t with P(|T| < t) = confidence, for whole degrees of freedom."""
    low, high = 0.0, 1.0
    while t_inside(high, freedom) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_inside(middle, freedom) < confidence else (low, middle)
    return high


def t_inside(t: float, freedom: int) -> float:
    """P(|T| < t) (Abramowitz and Stegun 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2 == 1
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for factor in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine**2 * (factor + 1) / (factor + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total
