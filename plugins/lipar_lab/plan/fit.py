"""Seconds of a stage as a function of kept tokens and rows of context.

Two forms are fitted, and the one with the smaller leave-one-out error is used:

    linear      a + b kept + c rows + d kept rows
    piecewise   linear between the measured numbers of kept tokens, where the context is as long as it gets, and
                + (rows - steady rows) (c + d kept) elsewhere

The product is that of attention: every kept token with every row. The piecewise form follows what a sum cannot: kernels
that are slow for few tokens, and threads that start to help from some number of tokens on.
"""

from collections.abc import Callable, Sequence
from statistics import mean, median
from typing import Literal, TypeAlias

import attrs
import numpy as np

from lipar.bounds import Number
from lipar_lab.plan.calibration import Sample

Form: TypeAlias = Literal["linear", "piecewise"]
Seconds: TypeAlias = Callable[[Number, Number], float]
"""Seconds by kept tokens and rows of context."""


@attrs.frozen(kw_only=True)
class Point:
    """Median of the repetitions of one number of kept tokens."""

    kept: float
    rows: float
    seconds: float
    steady: bool


@attrs.frozen(kw_only=True)
class Fit:
    """Seconds of a stage, and how well they are known."""

    form: Form
    function: Seconds
    errors: dict[Form, tuple[float, ...]]
    """Relative error at each point that was left out, for each form that is possible."""

    def seconds(self, kept: Number, rows: Number) -> float:
        """Seconds, at least 0.

        Args:
            kept: kept tokens.
            rows: rows of context, the block's own included.
        """
        return max(self.function(kept, rows), 0.0)

    @property
    def error(self) -> float:
        """Mean leave-one-out error of the form that is used, relative; NaN with too few points."""
        found = self.errors.get(self.form, ())
        return mean(found) if found else float("nan")

    @property
    def worst(self) -> float:
        """Largest leave-one-out error of the form that is used, relative; NaN with too few points."""
        return max(self.errors.get(self.form, ()), default=float("nan"))


def points_of(samples: Sequence[Sample], stage: Callable[[Sample], float]) -> list[Point]:
    """One point for each share of the tokens and length of context, in order of kept tokens.

    Args:
        samples: of blocks that keep something.
        stage: gives the seconds.
    """
    # where pruned tokens have rows, repetitions have one context; elsewhere it differs between them by chance
    groups: dict[tuple[float, bool, int], list[Sample]] = {}
    filled = len({sample.rows for sample in samples if sample.steady}) <= 1
    for sample in samples:
        groups.setdefault((sample.share, sample.steady, sample.rows if filled else 0), []).append(sample)
    points = [
        Point(
            kept=float(mean(sample.kept for sample in group)),
            rows=float(mean(sample.rows for sample in group)),
            seconds=median(stage(sample) for sample in group),
            steady=steady,
        )
        for (_, steady, _), group in groups.items()
    ]
    return sorted(points, key=lambda point: (point.kept, point.rows))


def fit_points(points: Sequence[Point]) -> Fit:
    """Fit both forms, and take the one with the smaller mean leave-one-out error.

    Args:
        points: of one stage.

    Raises:
        ValueError: fewer than two points.
    """
    if len(points) < 2:
        raise ValueError(f"a fit takes at least 2 points, got {len(points)}")
    fitters: dict[Form, Callable[[Sequence[Point]], Seconds]] = {"linear": _linear}
    if _has_curve(points):
        fitters["piecewise"] = _piecewise
    left_out = _inner(points)
    errors = {
        form: tuple(
            abs(fitter([other for other in points if other is not one])(one.kept, one.rows) / one.seconds - 1)
            for one in left_out
        )
        for form, fitter in fitters.items()
    }
    form = min(fitters, key=lambda form: mean(errors[form]) if errors[form] else 0.0)
    return Fit(form=form, function=fitters[form](points), errors=errors)


def _steady(points: Sequence[Point]) -> list[Point]:
    return [point for point in points if point.steady]


def _has_curve(points: Sequence[Point]) -> bool:
    """Whether there are points enough of one length of context."""
    steady = _steady(points)
    return len(steady) >= 4 and len({point.rows for point in steady}) == 1


def _inner(points: Sequence[Point]) -> list[Point]:
    """The points that can be left out: both forms would have to guess beyond the first and the last."""
    steady = _steady(points) or list(points)
    return [point for point in steady[1:-1] if point.seconds > 0]


def _linear(points: Sequence[Point]) -> Seconds:
    scale_kept = max(point.kept for point in points) or 1.0
    scale_rows = max(point.rows for point in points) or 1.0

    def terms(kept: Number, rows: Number) -> list[float]:
        n, m = kept / scale_kept, rows / scale_rows
        return [1.0, n, m, n * m]

    matrix = np.array([terms(point.kept, point.rows) for point in points])
    seconds = np.array([point.seconds for point in points])
    # each error counts relative to its time, as the errors that are reported do
    weight = 1 / np.maximum(seconds, 1e-9)
    found = np.linalg.lstsq(matrix * weight[:, None], seconds * weight, rcond=None)[0]
    return lambda kept, rows: float(np.dot(terms(kept, rows), found))


def _piecewise(points: Sequence[Point]) -> Seconds:
    steady = _steady(points)
    at, seconds = [point.kept for point in steady], [point.seconds for point in steady]
    steady_rows = steady[0].rows

    def curve(kept: Number) -> float:
        low = int(np.clip(np.searchsorted(at, kept) - 1, 0, len(at) - 2))
        slope = (seconds[low + 1] - seconds[low]) / (at[low + 1] - at[low])
        return float(seconds[low] + slope * (kept - at[low]))

    others = [point for point in points if point.rows != steady_rows]
    shorter = np.zeros(2)
    if others:
        matrix = np.array(
            [[point.rows - steady_rows, (point.rows - steady_rows) * point.kept] for point in others]
        )
        missing = np.array([point.seconds - curve(point.kept) for point in others])
        shorter = np.linalg.lstsq(matrix, missing, rcond=None)[0]

    def at_context(kept: Number, rows: Number) -> float:
        return curve(kept) + (rows - steady_rows) * float(shorter[0] + shorter[1] * kept)

    return at_context
