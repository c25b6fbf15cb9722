"""Time of a whole block against kept fraction."""

import statistics
from collections.abc import Iterator
from typing import Any

from lipar.config import EngineName
from lipar.messages import counted
from lipar_adapters.wan.shapes import forward_flops
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import Spread, random_mask
from lipar_lab.bench.ratios import fraction_row, rounds
from lipar_lab.bench.setup import Setup
from lipar_lab.bench.stream import BlockStream, Task, Window, bench_config

WARM_UP = {"eager": 1, "compiled": 1, "graphs": 2, "auto": 2}
"""Rounds before those that are timed: with graphs, the second one records."""
CLEAN = "clean pass"
"""The stage of that name, whose time is also given alone."""


def fits(setup: Setup) -> bool:
    """Causal models only; `forward` is for bidirectional ones."""
    return setup.model.shape.causal


def measure(setup: Setup) -> Iterator[dict[str, Any]]:
    """The figures of `measure_sweep` for each task and window."""
    settings = setup.settings
    for task in settings.tasks or ("video-to-video",):
        for window in settings.windows:
            yield measure_sweep(
                setup.model,
                list(settings.fractions),
                window=window,  # type: ignore[arg-type]  # click accepts no others
                task=task,  # type: ignore[arg-type]
                repeats=settings.repeats,
                spread=settings.masks,  # type: ignore[arg-type]
                steps=settings.steps,
                engine=settings.engine,
                peak_flops=setup.peak_flops,
            )


def measure_sweep(
    model: BenchModel,
    fractions: list[float],
    *,
    window: Window,
    task: Task,
    repeats: int,
    spread: Spread = "clustered",
    steps: tuple[int, ...] | None = None,
    engine: EngineName = "eager",
    noise: str = "kv-cache",
    peak_flops: float | None = None,
) -> dict[str, Any]:
    """Time blocks in steady state: the fractions in turn, a new mask for each block.

    Args:
        model: a causal model.
        fractions: kept fractions; 1.0 is added where it is missing, since ratios are relative to it.
        window: frames that a block attends to, see `bench_config`.
        task: what is denoised, see `bench_config`.
        repeats: interleaved rounds; one more before them is not counted.
        spread: how random masks are distributed, see `random_mask`.
        steps: denoise steps as indices of 1000, instead of the task's.
        engine: how passes are run.
        noise: the noise source, by name.
        peak_flops: FLOP/s that the device reaches in a matrix product.
    """
    stream = BlockStream(
        model, bench_config(model.shape, window, task, steps=steps, engine=engine, noise=noise)
    )
    stream.fill_window()
    names = {f"{fraction:g}": fraction for fraction in sorted({1.0, *fractions}, reverse=True)}
    stages = _timed_blocks(stream, names, repeats, spread, WARM_UP[engine])
    passes = len(stream.scheduler.sigmas) + 1  # denoise steps and the clean pass
    return {
        "window": window,
        "task": task,
        "engine": stream.scheduler.job.engine.summary(),
        "noise": noise,
        "context_frames": stream.context_frames,
        "passes": passes,
        "masks": spread,
        "rows": [
            _row(model, stream, passes, fraction, stages[name], stages["1"], peak_flops)
            for name, fraction in names.items()
        ],
    }


def _timed_blocks(
    stream: BlockStream, names: dict[str, float], repeats: int, spread: Spread, warm_up: int
) -> dict[str, list[dict[str, float]]]:
    """Seconds of the stages of each block, by the name of the fraction; the first `warm_up` rounds are not counted."""
    stages: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    for index, order in enumerate(rounds(list(names), warm_up + repeats)):
        for name in order:
            keep_mask = random_mask(stream.grid, names[name], spread=spread, seed=index).to(stream.device)
            found = stream.run_staged(keep_mask)
            if index >= warm_up:
                stages[name].append(found)
    return stages


def _row(
    model: BenchModel,
    stream: BlockStream,
    passes: int,
    fraction: float,
    stages: list[dict[str, float]],
    dense: list[dict[str, float]],
    peak_flops: float | None,
) -> dict[str, Any]:
    shape = model.shape
    tokens = shape.block_frames * shape.tokens_per_frame
    kept = round(fraction * tokens)
    context = stream.context_frames * shape.tokens_per_frame
    pixel_frames = shape.pixel_frames * shape.block_frames
    without = statistics.median(sum(one.values()) - one[CLEAN] for one in stages)
    row = fraction_row(
        [sum(one.values()) for one in stages],
        [sum(one.values()) for one in dense],
        kept=kept,
        tokens=tokens,
        flops=passes * forward_flops(shape, kept, context, layers=model.num_layers),
        peak_flops=peak_flops,
        pixel_frames=pixel_frames,
    )
    return row | {
        "stages": {name: statistics.median(one[name] for one in stages) for name in stages[0]},
        "median_seconds_without_clean_pass": without,
        "fps_without_clean_pass": pixel_frames / without,
    }


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of kept fractions, and the time of each stage at the largest and the smallest one."""
    found = [
        f"engine {figures['engine']}, donors {figures['noise']}",
        f"{figures['task']}, window of {figures['context_frames']} frames ({figures['window']}), "
        f"{counted(figures['passes'] - 1, 'denoise step')} and the clean pass, {figures['masks']} masks",
        "  everything with the clean pass inside, except the last two columns",
        "  kept   T(kept)/T(1) (min..max)   over kept   speed-up   of 1/kept    s/block      FPS   TFLOP/s"
        f"{'  of ceiling' if 'of_ceiling' in figures['rows'][0] else ''}   clean pass s   FPS without it",
    ]
    for row in figures["rows"]:
        of_ceiling = f"{row['of_ceiling']:12.1%}" if "of_ceiling" in row else ""
        found.append(
            f"  {row['kept']:.3f}  {row['ratio_to_dense']!s:>22}   {row['ratio_over_kept']:9.3f}"
            f"   {row['speedup']:8.2f}   {row['speedup_over_ideal']:9.1%}  {row['median_seconds']:9.4f}"
            f"  {row['fps']:7.2f}  {row['tflops']:8.2f}{of_ceiling}"
            f"   {row['stages'][CLEAN]:12.4f}   {row['fps_without_clean_pass']:14.2f}"
        )
    for row in (figures["rows"][0], figures["rows"][-1]):
        stages = "  ".join(f"{name} {seconds * 1000:.1f}" for name, seconds in row["stages"].items())
        found.append(f"  ms per stage at kept {row['kept']:.2f}: {stages}")
    return found
