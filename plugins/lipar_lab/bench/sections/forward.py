"""Time of one forward of a bidirectional model against kept fraction."""

import statistics
from typing import Any

from lipar.plugin.host import PluginHost
from lipar.speedup import paired_ratio
from lipar_adapters.wan.shapes import forward_flops
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.ratios import fraction_row, interleave
from lipar_lab.bench.setup import Setup
from lipar_lab.bench.single_forward import SingleForward


def fits(setup: Setup) -> bool:
    """Bidirectional models only; `sweep` is for causal ones."""
    return not setup.model.shape.causal


def measure(setup: Setup) -> dict[str, Any]:
    """The timings of `measure_forward`, with a row of figures for each kept fraction."""
    settings, model = setup.settings, setup.model
    fractions = sorted({1.0, *settings.fractions}, reverse=True)
    measured = measure_forward(model, setup.host, fractions, repeats=settings.repeats, frames=settings.frames)
    tokens = measured["grid"][0] * model.shape.tokens_per_frame
    dense, stock = measured["seconds"]["1"], measured["seconds"]["stock"]
    measured["ratio_to_stock"] = paired_ratio(dense, stock)
    measured["median_stock_seconds"] = statistics.median(stock)
    measured["rows"] = [
        fraction_row(
            measured["seconds"][name],
            dense,
            kept=kept,
            tokens=tokens,
            flops=forward_flops(model.shape, kept, tokens, layers=model.num_layers),
            peak_flops=setup.peak_flops,
        )
        for name, kept in measured["kept_tokens"].items()
    ]
    return measured


def measure_forward(
    model: BenchModel, host: PluginHost, fractions: list[float], *, repeats: int, frames: int | None = None
) -> dict[str, Any]:
    """Seconds of one forward by stock and with each fraction kept; frame 0 is always kept in full.

    Args:
        model: a bidirectional model.
        host: plugins that offer recovery and noise source.
        fractions: kept fractions.
        repeats: interleaved rounds.
        frames: latent frames; None: a clip of the shape.
    """
    forward = SingleForward(model, host, frames=frames)
    runs, kept = {"stock": forward.timed(forward.stock)}, {}
    for index, fraction in enumerate(fractions):
        keep_mask = random_mask(forward.grid, fraction, seed=index, whole_first_frame=True).to(model.device)
        runs[f"{fraction:g}"] = forward.timed_pruned(keep_mask)
        kept[f"{fraction:g}"] = round(fraction * keep_mask.numel())
    times = interleave(runs, repeats)
    return {"grid": forward.grid, "kept_tokens": kept, "seconds": times}


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of kept fractions."""
    frames, rows, cols = figures["grid"]
    return [
        f"one forward, {frames} frames of {rows}x{cols} tokens (there is no clean pass), "
        f"against keep-all; stock: {figures['ratio_to_stock']}",
        "  kept   T(kept)/T(1) (min..max)   over kept   s/forward   TFLOP/s",
        *(
            f"  {row['kept']:.3f}  {row['ratio_to_dense']!s:>22}   {row['ratio_over_kept']:9.3f}"
            f"   {row['median_seconds']:9.4f}  {row['tflops']:8.2f}"
            for row in figures["rows"]
        ),
    ]
