"""A stock pipeline's denoising, by itself and with `lipar.enable`, on the same weights."""

from collections.abc import Callable
from typing import Any

import torch

import lipar
from lipar.layout import TokenLayout
from lipar.plugin.host import PluginHost
from lipar.speedup import paired_ratio
from lipar.watch.clock import Stopwatch
from lipar_lab.bench.masks import random_mask
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.ratios import interleave

STEPS = 2
"""Denoise steps of a measured run, without guidance; each is one forward of the whole clip and one of the solver."""


def measure_pipeline(
    model: BenchModel, host: PluginHost, fractions: list[float], *, repeats: int, frames: int | None = None
) -> dict[str, Any]:
    """Denoising time of an enabled pipeline against kept fraction; frame 0 stays whole.

    Args:
        fractions: kept fractions beside 1, which is measured in any case.
        frames: None: a block of the shape.
    """
    shape = model.shape
    grid = (frames or shape.block_length, shape.rows, shape.cols)
    layouts = {"keep_all": TokenLayout.keep_all(grid, has_history=False, device=model.device)}
    for index, fraction in enumerate(fraction for fraction in fractions if fraction < 1):
        keep_mask = random_mask(grid, fraction, seed=index, whole_first_frame=True)
        layouts[f"{fraction:g}"] = TokenLayout(keep_mask.to(model.device), has_history=False)
    stock, pipe = model.stock_pipeline(), model.stock_pipeline()
    same: torch.Tensor = model.denoise(stock, grid[0], STEPS)
    lipar.enable(pipe, layout=layouts["keep_all"], host=host)
    bit_equal = torch.equal(same, model.denoise(pipe, grid[0], STEPS))

    def seconds(target: Any, layout: TokenLayout | None) -> Callable[[], float]:
        def run() -> float:
            if layout is not None:
                lipar.enable(target, layout=layout, host=host)
            watch = Stopwatch(model.device)
            model.denoise(target, grid[0], STEPS)
            return watch.seconds()

        return run

    runs = {"stock": seconds(stock, None)}
    runs |= {name: seconds(pipe, layout) for name, layout in layouts.items()}
    times = interleave(runs, repeats)
    return {
        "grid": grid,
        "steps": STEPS,
        "keep_all_bit_equal": bit_equal,
        "seconds": times,
        "kept": {name: layout.kept_fraction for name, layout in layouts.items()},
        "ratio": {name: paired_ratio(times[name], times["stock"]) for name in layouts},
    }
