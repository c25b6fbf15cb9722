"""The tables of an analysis, as rows for CSV, Markdown and HTML."""

import csv
import io
import math
from collections.abc import Sequence

import attrs

from lipar.metrics.table import Metric
from lipar_lab.analyze.clip import ClipResult
from lipar_lab.analyze.correlation import pooled
from lipar_lab.analyze.sweep import Bound, Point, largest_fraction, mean_points

ALL = "all clips"
Value = str | float | int | None


@attrs.frozen(kw_only=True)
class Table:
    """Named columns and their rows; numbers are not rounded."""

    head: tuple[str, ...]
    rows: tuple[tuple[Value, ...], ...]

    def csv(self) -> str:
        """The table as text with commas, None as nothing."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows([self.head, *self.rows])
        return text.getvalue()

    def markdown(self) -> list[str]:
        """The lines of the table in Markdown, numbers rounded."""
        lines = [self.head, tuple("---" for _ in self.head), *self.shown()]
        return [f"| {' | '.join(line)} |" for line in lines]

    def shown(self) -> list[tuple[str, ...]]:
        """The rows as text for people."""
        return [tuple(shown(value) for value in row) for row in self.rows]


def shown(value: Value) -> str:
    """A number with three digits, or four where it is large; a dash for None.

    Args:
        value: of a cell.
    """
    if value is None:
        return "–"
    if isinstance(value, float):
        if math.isinf(value):
            return "equal"
        return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
    return str(value)


def correlations(results: Sequence[ClipResult]) -> Table:
    """Pearson correlation of pixel and latent changes by clip, and of all patches of all clips together.

    Args:
        results: of clips.
    """
    rows: list[tuple[Value, ...]] = [
        (
            one.name,
            one.frames,
            f"{one.size[0]}x{one.size[1]}",
            one.sums.count,
            one.sums.pearson,
            one.sums.mean_y,
            one.decoded_psnr,
        )
        for one in results
    ]
    together = pooled(one.sums for one in results)
    frames = sum(one.frames for one in results)
    rows.append((ALL, frames, None, together.count, together.pearson, together.mean_y, None))
    head = (
        *("clip", "frames", "size", "pairs of patches", "Pearson correlation"),
        *("mean latent change", "PSNR of decoding (dB)"),
    )
    return Table(head=head, rows=tuple(rows))


def sweeps(results: Sequence[ClipResult], metrics: Sequence[Metric]) -> Table:
    """Every point of every clip's sweep, and of the mean of clips.

    Args:
        results: of clips.
        metrics: their columns.
    """
    rows = [
        (name, point.theta, point.replaced, *(point.figures.get(metric.key) for metric in metrics))
        for name, points in named_sweeps(results)
        for point in points
    ]
    return Table(head=("clip", "theta", "replaced", *(one.label for one in metrics)), rows=tuple(rows))


def largest(results: Sequence[ClipResult], metrics: Sequence[Metric], bounds: Sequence[Bound]) -> Table:
    """The largest fraction replaced under each bound, by clip, and for the mean of clips.

    Args:
        results: of clips.
        metrics: the table's, for their labels.
        bounds: the columns.
    """
    labels = {metric.key: metric.label for metric in metrics}
    rows: list[tuple[Value, ...]] = []
    for name, points in named_sweeps(results):
        rows.append((name, *(_percent(points, bound) for bound in bounds)))
    return Table(
        head=("clip", *(f"{labels[bound.metric]} {bound}" for bound in bounds)),
        rows=tuple(rows),
    )


def _percent(points: Sequence[Point], bound: Bound) -> str | None:
    found = largest_fraction(points, bound)
    if found is None:
        return None
    return f"{100 * found.fraction:.0f} %" if found.reached else f"{100 * found.fraction:.0f} % or more"


def named_sweeps(results: Sequence[ClipResult]) -> list[tuple[str, Sequence[Point]]]:
    """The sweep of each clip by its name, and last that of their means.

    Args:
        results: of clips.
    """
    by_clip: list[tuple[str, Sequence[Point]]] = [(one.name, one.points) for one in results]
    return [*by_clip, (ALL, mean_points([one.points for one in results]))]
