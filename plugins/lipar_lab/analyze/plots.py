"""The plots of an analysis, as PNG and SVG."""

import io
import math
from collections.abc import Sequence
from typing import Any

import attrs

from lipar.metrics.table import Metric
from lipar_lab.analyze.clip import ClipResult
from lipar_lab.analyze.correlation import pooled
from lipar_lab.analyze.sweep import Bound, Point, largest_fraction
from lipar_lab.analyze.tables import ALL, named_sweeps

PAPER_CORRELATIONS = {"Wan 2.1 VAE": 0.69, "Wan 2.2 TI2V VAE": 0.77}
"""Of arXiv 2603.05811, on DAVIS 2017."""
PAPER_LARGEST = {"lpips": (0.05, 0.46)}
"""Bound and largest fraction of the same paper."""
STYLE: Any = {  # matplotlib knows its keys by name
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.alpha": 0.25,
    "font.size": 10,
    "svg.hashsalt": "lipar",  # the same plot has the same bytes
}


@attrs.frozen(eq=False, kw_only=True)
class Plot:
    """One plot in both formats."""

    png: bytes
    svg: bytes


def correlation_plot(results: Sequence[ClipResult]) -> Plot:
    """Latent against pixel changes of some patches, and the correlation of each clip with the paper's.

    Args:
        results: of clips.
    """
    with _figure(1, 2, width=10.0, height=4.2) as (figure, axes):
        left, right = axes
        colours = _colours(len(results))
        for result, colour in zip(results, colours):
            x, y = zip(*result.shown)
            left.scatter(
                x, y, s=5, alpha=0.35, color=colour, linewidths=0, rasterized=True, label=result.name
            )
        together = pooled(result.sums for result in results).pearson
        left.set_xlabel("change of a pixel patch")
        left.set_ylabel("change of its latent patch")
        left.set_title("r undefined" if together is None else f"all patches of all clips: r = {together:.2f}")
        values = [result.sums.pearson or 0.0 for result in results]
        right.barh([result.name for result in results], values, color=colours)
        right.invert_yaxis()
        for (name, value), line in zip(PAPER_CORRELATIONS.items(), ("--", ":")):
            right.axvline(
                value, color="black", linestyle=line, linewidth=1, label=f"paper, {name}: {value:.2f}"
            )
        right.set_xlim(min(0.0, *values), 1)
        right.set_xlabel("Pearson correlation")
        right.legend(fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -0.15), ncols=2, frameon=False)
        return _saved(figure)


def similarity_plot(
    results: Sequence[ClipResult], metrics: Sequence[Metric], bounds: Sequence[Bound]
) -> Plot:
    """Each metric against the fraction replaced: thin lines for clips, a thick one for their mean.

    Args:
        results: of clips.
        metrics: a panel for each.
        bounds: drawn with the largest fraction of the mean.
    """
    columns = 2 if len(metrics) == 4 else min(3, len(metrics))
    rows = -(-len(metrics) // columns)
    with _figure(rows, columns, width=4.0 * columns, height=3.2 * rows + 0.4) as (figure, axes):
        for axis, metric in zip(axes, metrics):
            _panel(axis, metric, named_sweeps(results), [one for one in bounds if one.metric == metric.key])
        for axis in axes[len(metrics) :]:
            axis.set_visible(False)
        handles, labels = axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=5, fontsize=8, frameon=False)
        return _saved(figure)


def _panel(
    axis: Any, metric: Metric, sweeps: Sequence[tuple[str, Sequence[Point]]], bounds: Sequence[Bound]
) -> None:
    colours = _colours(len(sweeps) - 1)
    for (name, points), colour in zip(sweeps, [*colours, "black"]):
        pairs = [(100 * point.replaced, point.figures.get(metric.key)) for point in points]
        known = [(x, y) for x, y in pairs if y is not None and math.isfinite(y)]
        style = {"linewidth": 2.2, "marker": "o", "markersize": 3} if name == ALL else {"linewidth": 1}
        axis.plot(*(zip(*known) if known else ((), ())), color=colour, label=name, **style)
    for bound in bounds:
        axis.axhline(bound.value, color="tab:red", linestyle="--", linewidth=1)
        found = largest_fraction(sweeps[-1][1], bound)
        if found is not None and found.fraction:
            axis.plot([100 * found.fraction], [bound.value], "o", color="tab:red", markersize=6)
            axis.annotate(
                f"{100 * found.fraction:.0f} %",
                (100 * found.fraction, bound.value),
                xytext=(5, 5 if metric.better == "higher" else -12),
                textcoords="offset points",
                color="tab:red",
            )
    if metric.key in PAPER_LARGEST:
        value, fraction = PAPER_LARGEST[metric.key]
        axis.plot([100 * fraction], [value], "*", color="tab:red", markersize=10)
    axis.set_xlim(0, 100)
    axis.set_xlabel("patches replaced (%)")
    axis.set_ylabel(f"{metric.label} ({metric.unit})" if metric.unit else metric.label)


class _figure:
    """A figure and the flat list of its axes, drawn without a display; closed when the context ends."""

    def __init__(self, rows: int, columns: int, *, width: float, height: float) -> None:
        self._shape, self._size = (rows, columns), (width, height)

    def __enter__(self) -> tuple[Any, list[Any]]:
        import matplotlib
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        self._style = matplotlib.rc_context(STYLE)
        self._style.__enter__()
        figure = Figure(figsize=self._size, layout="constrained")
        FigureCanvasAgg(figure)
        return figure, list(figure.subplots(*self._shape, squeeze=False).flat)

    def __exit__(self, *error: Any) -> None:
        self._style.__exit__(None, None, None)


def _saved(figure: Any) -> Plot:
    png, svg = io.BytesIO(), io.BytesIO()
    figure.savefig(png, format="png", dpi=150)
    figure.savefig(svg, format="svg", dpi=150, metadata={"Date": None})
    return Plot(png=png.getvalue(), svg=svg.getvalue())


def _colours(count: int) -> list[Any]:
    from matplotlib import colormaps

    return [colormaps["tab10"](index % 10) for index in range(count)]
