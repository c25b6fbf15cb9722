"""Means and paired differences over clips, with Student's t intervals."""

import math
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import attrs

from lipar_lab.ablation.plan import Plan

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


@attrs.frozen
class Spread:
    """A median with its interval."""

    median: float
    low: float
    high: float
    count: int
    """Number of values."""


def median_interval(values: Sequence[float], confidence: float = 0.95) -> Spread:
    """The median, and the narrowest pair of values around it that contains the true one with this probability.

    By order statistics, for values of any distribution; fewer than six values cannot give 95 %, and then it is the
    range of all.

    Args:
        values: at least one.
        confidence: probability that the interval contains the true median.
    """
    ordered, count = sorted(values), len(values)
    outside, rank = 0.0, 0
    while rank < (count - 1) // 2:
        outside += 2 * math.comb(count, rank) / 2**count
        if outside > 1 - confidence:
            break
        rank += 1
    rank = max(rank - 1, 0)
    return Spread(statistics.median(ordered), ordered[rank], ordered[count - 1 - rank], count)


def value_of(cell: Line, figure: str) -> float | None:
    """A figure of a line: one that every ablation has, or one of the table of metrics."""
    value: float | None = cell[figure] if figure in cell else cell["metrics"].get(figure)
    return value


def by_clip(cells: Iterable[Line], figure: str) -> dict[int, float]:
    """The mean of a figure over the cells of each clip, by clip; cells without the figure are left out."""
    values: dict[int, list[float]] = defaultdict(list)
    for cell in cells:
        value = value_of(cell, figure)
        if value is not None:
            values[cell["clip"]].append(value)
    return {clip: statistics.fmean(found) for clip, found in values.items()}


def paired(cells: Sequence[Line], row: str, figure: str, other: str) -> Interval | None:
    """The mean over clips of the difference of two rows' figures in the same cells; None where no cell has both.

    Args:
        cells: lines of the record.
        row: name of the row.
        figure: key of the figure.
        other: name of the row that is subtracted.
    """
    same = ("clip", "strength", "seed", "kept")
    against = {
        tuple(cell[key] for key in same): value_of(cell, figure) for cell in cells if cell["row"] == other
    }
    differences = []
    for cell in cells:
        if cell["row"] != row:
            continue
        own, value = value_of(cell, figure), against.get(tuple(cell[key] for key in same))
        if own is not None and value is not None:
            differences.append({"clip": cell["clip"], "difference": own - value})
    means = by_clip(differences, "difference")
    return t_interval(list(means.values())) if means else None


def time_ratios(
    plan: Plan, times: Sequence[Line], passes: str = "seconds"
) -> dict[tuple[str, float], list[float]]:
    """Times relative to the dense run of the same round, by row and kept fraction: one for each clip and round.

    Args:
        plan: says which dense row each row is compared with.
        times: lines of the record of the kind `time`.
        passes: `denoise`, `clean`, or `seconds` for both.
    """
    rows = {row.name: row for row in plan.rows}
    latest = {
        (line["row"], line["kept"], line["clip"], line["round"]): line[passes]
        for line in times
        if line["row"] in rows
    }
    ratios: dict[tuple[str, float], list[float]] = defaultdict(list)
    for (row, kept, clip, number), seconds in latest.items():
        dense = latest.get((rows[row].dense, kept, clip, number))
        if dense:
            ratios[row, kept].append(seconds / dense)
    return dict(ratios)


def flop_ratios(plan: Plan, costs: Sequence[Line]) -> dict[tuple[str, float], float]:
    """Floating-point operations relative to the dense run, by row and kept fraction.

    Args:
        plan: says which dense row each row is compared with.
        costs: lines of the record of the kind `cost`.
    """
    flops = {(line["row"], line["kept"]): line["flops"] for line in costs}
    return {
        (row.name, kept): flops[row.name, kept] / flops[row.dense, kept]
        for kept in plan.kept
        for row in plan.rows_at(kept)
        if (row.name, kept) in flops and flops.get((row.dense, kept))
    }
