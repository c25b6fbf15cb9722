"""Plots of an ablation as SVG: a figure of each row against the kept fraction, with intervals."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lipar_lab.ablation.metric_table import label, unit
from lipar_lab.ablation.plan import Plan
from lipar_lab.ablation.statistics import Line, Spread, by_clip, median_interval, t_interval, time_ratios
from lipar_lab.ablation.tables import select


@attrs.frozen(kw_only=True)
class Plot:
    """One picture."""

    title: str
    axis: str
    """What the vertical axis shows."""
    series: Mapping[str, Mapping[float, Spread]]
    """By row: a value with its interval at each kept fraction."""
    order: Sequence[str]
    """All rows of the ablation, by whose order colours are given, the same in every plot."""


def quality_plot(plan: Plan, cells: Sequence[Line], figure: str, label: str) -> Plot:
    """A figure's mean over clips with its 95 % interval, at every kept fraction.

    Args:
        plan: gives rows and fractions.
        cells: lines of the record.
        figure: key of the figure.
        label: its name.
    """
    series: dict[str, dict[float, Spread]] = {}
    for row in plan.rows:
        for kept in plan.kept:
            values = list(by_clip(select(cells, row=row.name, kept=kept), figure).values())
            if values:
                found = t_interval(values)
                half = found.half if found.count > 1 else 0.0
                spread = Spread(found.mean, found.mean - half, found.mean + half, found.count)
                series.setdefault(row.name, {})[kept] = spread
    return Plot(title=label, axis=label, series=series, order=_names(plan))


def time_plot(plan: Plan, times: Sequence[Line]) -> Plot:
    """The time of all passes relative to dense, median and interval over rounds, at every kept fraction."""
    series: dict[str, dict[float, Spread]] = {}
    for (row, kept), ratios in time_ratios(plan, times).items():
        series.setdefault(row, {})[kept] = median_interval(ratios)
    return Plot(title="time", axis="time, ratio to dense", series=series, order=_names(plan))


def _names(plan: Plan) -> list[str]:
    return [row.name for row in plan.rows]


def plots(plan: Plan, cells: Sequence[Line], times: Sequence[Line]) -> list[Plot]:
    """Time, PSNR of latents, and every figure of the table of metrics; those without a value are left out."""
    named = {"psnr_latent_kept": "PSNR of latents to dense, kept tokens, dB"}
    named |= {name: label(name) + (f", {unit(name)}" if unit(name) else "") for name in plan.metrics}
    found = [time_plot(plan, times), *(quality_plot(plan, cells, key, label) for key, label in named.items())]
    return [plot for plot in found if plot.series]


def has_matplotlib() -> bool:
    """Whether matplotlib is installed; it is not loaded."""
    import importlib.util

    return importlib.util.find_spec("matplotlib") is not None


def svg(plot: Plot) -> bytes:
    """The picture, the same bytes for the same values.

    Args:
        plot: what to draw.
    """
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context({"svg.hashsalt": "lipar", "svg.fonttype": "none", "font.size": 9}):
        picture = Figure(figsize=(7.2, 4.2), layout="constrained")
        canvas: Any = FigureCanvasSVG(picture)
        axes = picture.add_subplot()
        colours = matplotlib.color_sequences["tab20"]
        fractions = sorted({kept for points in plot.series.values() for kept in points})
        count = len(plot.order)
        for name, points in plot.series.items():
            index = plot.order.index(name)
            # rows of one fraction side by side, so that their intervals can be told apart
            shift = 0.012 * (index - (count - 1) / 2) / max(count, 1) * 2
            kept = sorted(points)
            middle = [points[at].median for at in kept]
            below = [points[at].median - points[at].low for at in kept]
            above = [points[at].high - points[at].median for at in kept]
            axes.errorbar(
                [at + shift for at in kept],
                middle,
                yerr=[below, above],
                label=name,
                color=colours[index % len(colours)],
                marker="osD^vP"[index % 6],
                markersize=4,
                linewidth=1,
                capsize=2,
            )
        axes.set_xticks(fractions, [f"{100 * kept:g} %" for kept in fractions])
        axes.set_xlim(fractions[0] - 0.04, fractions[-1] + 0.04)
        axes.set_xlabel("kept fraction of tokens")
        axes.set_ylabel(plot.axis)
        axes.grid(alpha=0.25)
        picture.legend(loc="outside right upper", fontsize=7, frameon=False)
        written = io.BytesIO()
        canvas.print_svg(written, metadata={"Date": None})
    return written.getvalue()
