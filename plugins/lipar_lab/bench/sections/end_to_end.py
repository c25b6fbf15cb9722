"""Time of a block from pixel frames to pixel frames, with and without its clean pass."""

import statistics
from collections.abc import Iterator
from typing import Any

import numpy as np

from lipar.config import EngineName
from lipar.messages import counted
from lipar.protocols import Autoencoder
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import Spread, random_mask
from lipar_lab.bench.ratios import rounds
from lipar_lab.bench.setup import Setup
from lipar_lab.bench.stream import TASKS, Task, Window, bench_config
from lipar_lab.bench.video_stream import STAGES, BlockTimes, VideoStream

DROPPED = 2
"""Rounds that warm up and are not counted."""
WINDOW: dict[Task, Window] = {"video-to-video": "trimmed", "text-to-video": "sliding"}
"""The first frame and the last 6, as lipar edits; or as many frames as a training clip has, as others generate."""


def fits(setup: Setup) -> bool:
    """Causal models only: the others make all frames at once."""
    return setup.model.shape.causal


def measure(setup: Setup) -> Iterator[dict[str, Any]]:
    """The figures of `measure_end_to_end` for each task."""
    settings, model = setup.settings, setup.model
    autoencoder = model.random_autoencoder()
    for task in settings.tasks or TASKS:
        yield measure_end_to_end(
            model,
            autoencoder,
            list(settings.fractions),
            task=task,  # type: ignore[arg-type]  # click accepts no others
            repeats=settings.repeats,
            spread=settings.masks,  # type: ignore[arg-type]
            steps=settings.steps,
            engine=settings.engine,
        )


def measure_end_to_end(
    model: BenchModel,
    autoencoder: Autoencoder,
    fractions: list[float],
    *,
    task: Task,
    repeats: int,
    spread: Spread = "clustered",
    steps: tuple[int, ...] | None = None,
    engine: EngineName = "eager",
) -> dict[str, Any]:
    """Time blocks in steady state: first those of a dense run, then the fractions in turn, each block with a new mask.

    Args:
        model: a causal model.
        autoencoder: of its latents.
        fractions: kept fractions; 1 is the dense run, which decides no mask, and is always measured.
        task: `video-to-video` encodes the frames that it edits; `text-to-video` begins from pure noise.
        repeats: blocks of each fraction that are timed; `DROPPED` more before them are not counted.
        spread: how random masks are distributed, see `random_mask`.
        steps: denoise steps as indices of 1000, instead of the task's.
        engine: how passes are run.
    """
    shape = model.shape
    config = bench_config(shape, WINDOW[task], task, steps=steps, engine=engine)
    pixel_frames = shape.block_frames * autoencoder.next_pixel_frames
    rows = []
    for dense in (True, False):
        chosen = [1.0] if dense else sorted({kept for kept in fractions if kept < 1}, reverse=True)
        if not chosen:
            continue
        stream = VideoStream(model, config, autoencoder, dense=dense)
        times = _timed(stream, chosen, repeats, spread, model)
        rows += [_row(kept, stream, found, pixel_frames) for kept, found in times.items()]
    return {
        "task": task,
        "engine": stream.engine,
        "window": WINDOW[task],
        "context_frames": stream.context_frames,
        "denoise_steps": stream.denoise_steps,
        "autoencoder": type(autoencoder).__name__,
        "pixel_frames": pixel_frames,
        "masks": spread,
        "dropped": DROPPED,
        "rows": rows,
    }


def _timed(
    stream: VideoStream, fractions: list[float], repeats: int, spread: Spread, model: BenchModel
) -> dict[float, list[BlockTimes]]:
    times: dict[float, list[BlockTimes]] = {kept: [] for kept in fractions}
    named = {f"{kept:g}": kept for kept in fractions}
    for index, order in enumerate(rounds(list(named), DROPPED + repeats)):
        for name in order:
            keep_mask = random_mask(stream.grid, named[name], spread=spread, seed=index).to(model.device)
            found = stream.run(keep_mask)
            if index >= DROPPED:
                times[named[name]].append(found)
    return times


def _row(kept: float, stream: VideoStream, times: list[BlockTimes], pixel_frames: int) -> dict[str, Any]:
    tokens = stream.grid[0] * stream.grid[1] * stream.grid[2]
    return {
        "kept": round(kept * tokens) / tokens,
        "stages": {name: statistics.median(one.stages[name] for one in times) for name in STAGES},
        "with_clean_pass": _summary([one.with_clean_pass for one in times], pixel_frames),
        "without_clean_pass": _summary([one.without_clean_pass for one in times], pixel_frames),
    }


def _summary(seconds: list[float], pixel_frames: int) -> dict[str, Any]:
    median = statistics.median(seconds)
    return {
        "seconds": seconds,
        "median_seconds": median,
        "p95_seconds": float(np.percentile(seconds, 95)),
        "fps": pixel_frames / median,
    }


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of kept fractions: both totals, then the median of every stage."""
    encoded = "" if figures["task"] == "video-to-video" else ", nothing is encoded"
    return [
        f"engine {figures['engine']}",
        f"end to end, {figures['task']}: {figures['pixel_frames']} pixel frames a block{encoded}, "
        f"{counted(figures['denoise_steps'], 'denoise step')}, window of {figures['context_frames']} frames "
        f"({figures['window']}), {figures['autoencoder']}, {figures['masks']} masks",
        "         clean pass inside        without it               ms of each stage, median",
        "  kept     ms    p95    FPS     ms    p95    FPS   " + "  ".join(f"{name:>6}" for name in STAGES),
        *(_line(row) for row in figures["rows"]),
    ]


def _line(row: dict[str, Any]) -> str:
    totals = "".join(
        f"{1000 * row[name]['median_seconds']:7.1f}{1000 * row[name]['p95_seconds']:7.1f}{row[name]['fps']:7.1f}"
        for name in ("with_clean_pass", "without_clean_pass")
    )
    stages = "  ".join(f"{1000 * row['stages'][name]:{max(len(name), 6)}.1f}" for name in STAGES)
    kept = "dense" if row["kept"] == 1 else f"{row['kept']:.3f}"
    return f"  {kept}{totals}   {stages}"
