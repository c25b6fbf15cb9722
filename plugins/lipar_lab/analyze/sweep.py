"""What a sweep of theta found: similarity by fraction replaced, and the largest fraction under a bound."""

import math
from collections.abc import Mapping, Sequence
from typing import Literal

import attrs

THETAS = (0.0, 0.02, 0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0, 1.5)
"""In units of the latents, per value; 0 replaces nothing, and shows what each metric gives for equal clips."""


@attrs.frozen(kw_only=True)
class Point:
    """One theta on one clip, or the mean of clips."""

    theta: float
    replaced: float
    """Fraction of the patches that have a patch before them."""
    figures: dict[str, float | None]
    """Similarity to the decoded original by metric; PSNR is infinite where they are equal; None: not defined."""


@attrs.frozen(kw_only=True)
class Bound:
    """How similar the result must stay."""

    metric: str
    value: float
    better: Literal["higher", "lower"]

    def holds(self, value: float) -> bool:
        """Whether a value is as good as the bound, or better.

        Args:
            value: of the metric.
        """
        return value >= self.value if self.better == "higher" else value <= self.value

    def __str__(self) -> str:
        """For tables: `PSNR >= 35` without the name."""
        return f"{'>=' if self.better == 'higher' else '<='} {self.value:g}"


@attrs.frozen(kw_only=True)
class Largest:
    """The largest fraction replaced under a bound."""

    fraction: float
    reached: bool
    """False: the bound still holds at the largest theta, so that the true fraction may be larger."""


def largest_fraction(points: Sequence[Point], bound: Bound) -> Largest | None:
    """Where the figure first crosses the bound, on straight lines between the points; None: it is not defined.

    Args:
        points: of one sweep.
        bound: on one metric.
    """
    fraction, before = 0.0, None
    for point in sorted(points, key=lambda point: (point.replaced, point.theta)):
        value = point.figures.get(bound.metric)
        if value is None:
            return None
        if not bound.holds(value):
            if before is not None and math.isfinite(before):
                part = (before - bound.value) / (before - value)
                fraction += part * (point.replaced - fraction)
            return Largest(fraction=fraction, reached=True)
        fraction, before = point.replaced, value
    return Largest(fraction=fraction, reached=False) if before is not None else None


def mean_points(sweeps: Sequence[Sequence[Point]]) -> list[Point]:
    """The sweep of all clips: at each theta, which is the same for all, the means over clips, each counted once.

    PSNR is that of the mean of squared errors, so that a clip in which nothing was replaced counts.

    Args:
        sweeps: of clips, with the same thetas in the same order.
    """
    return [
        Point(
            theta=points[0].theta,
            replaced=sum(point.replaced for point in points) / len(points),
            figures={
                metric: _mean(metric, [point.figures.get(metric) for point in points])
                for metric in points[0].figures
            },
        )
        for points in zip(*sweeps)
    ]


def _mean(metric: str, values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None  # the mean of other clips would not fit the fraction
    if metric != "psnr":
        return sum(known) / len(known)
    error = sum(10 ** (-value / 10) for value in known) / len(known)
    return -10 * math.log10(error) if error > 0 else math.inf


def to_json(point: Point) -> dict[str, object]:
    """A point as JSON knows it; infinite figures become the text "inf".

    Args:
        point: of a sweep.
    """
    figures = {name: "inf" if value == math.inf else value for name, value in point.figures.items()}
    return {"theta": point.theta, "replaced": point.replaced, "figures": figures}


def from_json(found: Mapping[str, object]) -> Point:
    """The inverse of `to_json`.

    Args:
        found: what `to_json` gave.
    """
    figures = found["figures"]
    assert isinstance(figures, dict)
    return Point(
        theta=_number(found["theta"]),
        replaced=_number(found["replaced"]),
        figures={name: None if value is None else _number(value) for name, value in figures.items()},
    )


def _number(value: object) -> float:
    assert isinstance(value, int | float | str)
    return float(value)
