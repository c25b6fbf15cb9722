"""Time of keep-all, and of all tokens except one, through lipar, against the library's own forward."""

from typing import Any

import torch

from lipar.plugin.host import PluginHost
from lipar.speedup import paired_ratio
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.ratios import interleave
from lipar_lab.bench.setup import Setup
from lipar_lab.bench.single_forward import SingleForward


def fits(setup: Setup) -> bool:
    """Every model has a stock forward."""
    return True


def measure(setup: Setup) -> dict[str, Any]:
    """The figures of `measure_overhead` with the run's settings."""
    settings = setup.settings
    return measure_overhead(setup.model, setup.host, repeats=settings.repeats, frames=settings.frames)


def measure_overhead(
    model: BenchModel, host: PluginHost, *, repeats: int, frames: int | None = None
) -> dict[str, Any]:
    """Ratios of time to stock, and whether the output of keep-all is bit-equal to stock.

    Args:
        model: the model to run.
        host: plugins that offer recovery and noise source.
        repeats: interleaved rounds.
        frames: latent frames; None: a block of the shape.
    """
    forward = SingleForward(model, host, frames=frames)
    everything = torch.ones(forward.grid, dtype=torch.bool, device=model.device)
    but_one = everything.clone()
    but_one[-1, forward.grid[1] // 2, forward.grid[2] // 2] = False
    bit_equal = torch.equal(forward.stock(), forward.pruned(everything))
    times = interleave(
        {
            "stock": forward.timed(forward.stock),
            "keep_all": forward.timed_pruned(everything),
            "all_but_one": forward.timed_pruned(but_one),
        },
        repeats,
    )
    return {
        "tokens": everything.numel(),
        "keep_all_bit_equal": bit_equal,
        "seconds": times,
        "ratio": {name: paired_ratio(times[name], times["stock"]) for name in ("keep_all", "all_but_one")},
    }


def lines(figures: dict[str, Any]) -> list[str]:
    """Both ratios to stock."""
    ratio = figures["ratio"]
    equal = "bit-equal to stock" if figures["keep_all_bit_equal"] else "NOT bit-equal to stock"
    return [
        f"{figures['tokens']} tokens, one denoise pass without a cache (no clean pass): median (min..max) of paired "
        "ratios to the stock forward",
        f"  keep all        {ratio['keep_all']}   {equal}",
        f"  all but one     {ratio['all_but_one']}",
    ]
