"""Denoising time of a stock pipeline, alone and with `lipar.enable`, on the same weights: eager, and compiled.

People who care for speed compile, so an enabled pipeline with compiled layers is compared with a compiled stock one.
"""

from collections.abc import Callable, Iterator
from typing import Any

import torch

import lipar
from lipar.layout import TokenLayout
from lipar.plugin.host import PluginHost
from lipar.speedup import paired_ratio
from lipar.watch.clock import Stopwatch
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.ratios import interleave
from lipar_lab.bench.setup import Setup

STEPS = 2
"""Denoise steps of a measured run, without guidance; each is one forward of the whole clip and one solver step."""


def fits(setup: Setup) -> bool:
    """Every model of the bench has a stock pipeline."""
    return True


def measure(setup: Setup) -> Iterator[dict[str, Any]]:
    """The figures of `measure_pipeline`: eager, and on a GPU with compiled layers as well."""
    settings = setup.settings
    fractions = sorted(settings.fractions, reverse=True)
    for compiled in (False, True) if setup.on_cuda else (False,):
        yield measure_pipeline(
            setup.model,
            setup.host,
            fractions,
            repeats=settings.repeats,
            frames=settings.frames,
            compiled=compiled,
        )


def measure_pipeline(
    model: BenchModel,
    host: PluginHost,
    fractions: list[float],
    *,
    repeats: int,
    frames: int | None = None,
    compiled: bool = False,
) -> dict[str, Any]:
    """Denoising time of an enabled pipeline against kept fraction; frame 0 is always kept in full.

    Args:
        model: the model whose pipelines are timed.
        host: plugins for `lipar.enable`.
        fractions: kept fractions in addition to 1, which is always measured.
        repeats: interleaved rounds.
        frames: latent frames; None: a block of the shape.
        compiled: compile the layers of both pipelines, as diffusers' `compile_repeated_blocks` does.
    """
    shape = model.shape
    grid = (frames or shape.block_length, shape.rows, shape.cols)
    layouts = _layouts(grid, fractions, model.device)
    stock, pipe = model.stock_pipeline(), model.stock_pipeline()
    if compiled:
        for one in (stock, pipe):
            one.transformer.compile_repeated_blocks()
    same: torch.Tensor = model.denoise(stock, grid[0], STEPS)
    lipar.enable(pipe, layout=layouts["keep_all"], host=host)
    pruned_none = model.denoise(pipe, grid[0], STEPS)
    bit_equal = torch.equal(same, pruned_none)

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
        "compiled": compiled,
        "difference": float((pruned_none - same).abs().max() / same.std()),
        "keep_all_bit_equal": bit_equal,
        "seconds": times,
        "kept": {name: layout.kept_fraction for name, layout in layouts.items()},
        "ratio": {name: paired_ratio(times[name], times["stock"]) for name in layouts},
    }


def _layouts(
    grid: tuple[int, int, int], fractions: list[float], device: torch.device
) -> dict[str, TokenLayout]:
    layouts = {"keep_all": TokenLayout.keep_all(grid, has_history=False, device=device)}
    for index, fraction in enumerate(fraction for fraction in fractions if fraction < 1):
        keep_mask = random_mask(grid, fraction, seed=index, whole_first_frame=True)
        layouts[f"{fraction:g}"] = TokenLayout(keep_mask.to(device), has_history=False)
    return layouts


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of kept fractions, each relative to the stock pipeline."""
    frames, rows, cols = figures["grid"]
    equal = "bit-equal to stock"
    if not figures["keep_all_bit_equal"]:
        equal = f"NOT bit-equal to stock: at most {figures['difference']:.1e} standard deviations"
    found = [
        f"{'compiled' if figures['compiled'] else 'eager'}: denoising of an enabled pipeline, "
        f"{frames} frames of {rows}x{cols} tokens, {figures['steps']} steps "
        "(there is no clean pass), against stock",
        "  kept   T(enabled)/T(stock) (min..max)   over kept",
    ]
    for name, ratio in figures["ratio"].items():
        kept = figures["kept"][name]
        note = f"   {equal}" if name == "keep_all" else ""
        found.append(f"  {kept:.3f}  {ratio!s:>29}   {ratio.median / kept:9.3f}{note}")
    return found
