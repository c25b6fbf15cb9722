"""Means and paired differences over clips, with Student's t intervals."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from lipar_lab.ablation.rows import REFERENCE

Line = dict[str, Any]
"""A line of the record."""


@attrs.frozen
class Interval:
    """A mean and half the width of its confidence interval."""

    mean: float
    half: float
    """NaN for a single value."""
    count: int
    """Number of values."""

    @property
    def excludes_zero(self) -> bool:
        """Whether 0 lies outside the interval; False for a single value."""
        return abs(self.mean) > self.half


def t_interval(values: Sequence[float], confidence: float = 0.95) -> Interval:
    """The two-sided confidence interval of the mean of independent values, by Student's t.

    Args:
        values: one for each clip.
        confidence: probability that the interval contains the true mean.

    Raises:
        ValueError: there is no value.
    """
    if not values:
        raise ValueError("an interval needs at least one value")
    if len(values) == 1:
        return Interval(values[0], math.nan, 1)
    error = statistics.stdev(values) / math.sqrt(len(values))
    return Interval(statistics.fmean(values), t_quantile(confidence, len(values) - 1) * error, len(values))


def t_quantile(confidence: float, freedom: int) -> float:
    """The t with P(|T| < t) = confidence, for integer degrees of freedom, by bisection."""
    low, high = 0.0, 1.0
    while t_inside(high, freedom) < confidence:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if t_inside(middle, freedom) < confidence else (low, middle)
    return high


def t_inside(t: float, freedom: int) -> float:
    """P(|T| < t) for integer degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4)."""
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2 == 1
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for factor in range(1 if odd else 0, freedom - 1, 2):
        total += term
        term *= cosine**2 * (factor + 1) / (factor + 2)
    return 2 / math.pi * (angle + sine * total) if odd else sine * total


def by_clip(cells: Iterable[Line], figure: str) -> dict[int, float]:
    """The mean of a figure over the cells of each clip, by clip; cells without the figure are left out."""
    values: dict[int, list[float]] = defaultdict(list)
    for cell in cells:
        if cell[figure] is not None:
            values[cell["clip"]].append(cell[figure])
    return {clip: statistics.fmean(found) for clip, found in values.items()}


def paired(cells: Sequence[Line], row: str, figure: str, other: str = REFERENCE) -> Interval | None:
    """The mean over clips of the difference of two rows' figures in the same cells; None where no cell has both.

    Args:
        cells: lines of the record.
        row: name of the row.
        figure: key of the figure.
        other: name of the row that is subtracted.
    """
    against = {
        (cell["clip"], cell["strength"], cell["kept"]): cell[figure] for cell in cells if cell["row"] == other
    }
    differences = []
    for cell in cells:
        if cell["row"] != row or cell[figure] is None:
            continue
        value = against.get((cell["clip"], cell["strength"], cell["kept"]))
        if value is not None:
            differences.append({"clip": cell["clip"], "difference": cell[figure] - value})
    means = by_clip(differences, "difference")
    return t_interval(list(means.values())) if means else None


def time_ratios(times: Sequence[Line]) -> dict[str, float]:
    """The denoise time of each row relative to `paper` in the same round: median over rounds and kept fractions."""
    latest = {(line["row"], line["kept"], line["round"]): line["seconds"] for line in times}
    ratios: dict[str, list[float]] = defaultdict(list)
    for (row, kept, number), seconds in latest.items():
        reference = latest.get((REFERENCE, kept, number))
        if reference:
            ratios[row].append(seconds / reference)
    return {row: statistics.median(found) for row, found in ratios.items()}
