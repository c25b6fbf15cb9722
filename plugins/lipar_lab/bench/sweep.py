"""Time of a whole block against kept fraction."""

import statistics
from typing import Any

from lipar.speedup import paired_ratio
from lipar_adapters.wan.shapes import Shape, forward_flops
from lipar_lab.bench.masks import Spread, random_mask
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.ratios import rounds
from lipar_lab.bench.stream import BlockStream, Task, Window, bench_config


def measure_sweep(
    model: BenchModel,
    fractions: list[float],
    *,
    window: Window,
    task: Task,
    repeats: int,
    spread: Spread = "clustered",
    steps: tuple[int, ...] | None = None,
    ceiling: float | None = None,
) -> dict[str, Any]:
    """Blocks in steady state, the fractions in turn, a new mask each time.

    Args:
        fractions: 1.0 is added where it is missing, since ratios are taken to it.
        ceiling: FLOP/s that the device reaches in a matrix product.
    """
    shape = model.shape
    stream = BlockStream(model, bench_config(shape, window, task, steps=steps))
    stream.fill_window()
    names = {f"{fraction:g}": fraction for fraction in sorted({1.0, *fractions}, reverse=True)}
    seconds: dict[str, list[float]] = {name: [] for name in names}
    for index, order in enumerate(rounds(list(names), repeats + 1)):
        for name in order:
            keep_mask = random_mask(stream.grid, names[name], spread=spread, seed=index).to(model.device)
            block = stream.run(keep_mask)
            if index:
                seconds[name].append(block.seconds)
    stages = {
        name: stream.run_staged(random_mask(stream.grid, fraction, spread=spread).to(model.device))
        for name, fraction in names.items()
    }
    passes = len(stream.scheduler.sigmas) + 1
    result = {
        "window": window,
        "task": task,
        "context_frames": stream.context_frames,
        "passes": passes,
        "masks": spread,
    }
    tokens = shape.block_frames * shape.tokens_per_frame
    rows = []
    for name, fraction in names.items():
        kept = round(fraction * tokens)
        rows.append(
            sweep_row(
                seconds[name],
                seconds["1"],
                kept=kept,
                tokens=tokens,
                flops=passes * block_flops(model, shape, kept, stream.context_frames),
                ceiling=ceiling,
                pixel_frames=shape.pixel_frames * shape.block_frames,
            )
            | {"stages": stages[name]}
        )
    return result | {"rows": rows}


def block_flops(model: BenchModel, shape: Shape, kept: int, context_frames: int) -> float:
    """Floating point operations of one forward of a block that attends to `context_frames` frames."""
    return forward_flops(shape, kept, context_frames * shape.tokens_per_frame, layers=model.num_layers)


def sweep_row(
    seconds: list[float],
    dense: list[float],
    *,
    kept: int,
    tokens: int,
    flops: float,
    ceiling: float | None,
    pixel_frames: int | None = None,
) -> dict[str, Any]:
    """The figures of one kept fraction.

    Args:
        dense: seconds with everything kept, of the same rounds.
        pixel_frames: of one block, where frames per second mean something.
    """
    fraction = kept / tokens
    ratio = paired_ratio(seconds, dense)
    median = statistics.median(seconds)
    row: dict[str, Any] = {
        "kept": fraction,
        "kept_tokens": kept,
        "tokens": tokens,
        "seconds": seconds,
        "median_seconds": median,
        "ratio_to_dense": ratio,
        "ratio_over_kept": ratio.median / fraction,
        "speedup": 1 / ratio.median,
        "speedup_over_ideal": fraction / ratio.median,
        "tflops": flops / median / 1e12,
    }
    if pixel_frames is not None:
        row["fps"] = pixel_frames / median
    if ceiling is not None:
        row["of_ceiling"] = flops / median / ceiling
    return row
