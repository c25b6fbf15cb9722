"""Block time with quantised linear layers against the same layers as they are, for each kept fraction."""

import statistics
from collections.abc import Callable
from typing import Any

import torch

from lipar.config import EngineName
from lipar.messages import counted
from lipar.speedup import paired_ratio
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import Spread, random_mask
from lipar_lab.bench.ratios import interleave
from lipar_lab.bench.sections.sweep import WARM_UP
from lipar_lab.bench.setup import Setup, load_model
from lipar_lab.bench.stream import BlockStream, bench_config


def fits(setup: Setup) -> bool:
    """Causal models, with `--quantise`."""
    return setup.model.shape.causal and setup.settings.quantise != "none"


def measure(setup: Setup) -> dict[str, Any]:
    """The figures of `measure_quantised`; the model without quantised layers is loaded in addition."""
    settings = setup.settings
    dtype = getattr(torch, settings.dtype)
    plain = load_model(settings.shape, settings.layers, setup.device, dtype, settings.size)
    return {"quantise": settings.quantise} | measure_quantised(
        plain,
        setup.model,
        list(settings.fractions),
        repeats=settings.repeats,
        spread=settings.masks,  # type: ignore[arg-type]  # click accepts no others
        steps=settings.steps,
        engine=settings.engine,
    )


def measure_quantised(
    plain: BenchModel,
    quantised: BenchModel,
    fractions: list[float],
    *,
    repeats: int,
    spread: Spread = "clustered",
    steps: tuple[int, ...] | None = None,
    engine: EngineName = "eager",
) -> dict[str, Any]:
    """Time blocks of both models, video-to-video with window 1+6, in steady state and in turn.

    Args:
        plain: a causal model.
        quantised: the same with quantised linear layers.
        fractions: kept fractions; 1.0 is added where it is missing.
        repeats: interleaved rounds.
        spread: how random masks are distributed, see `random_mask`.
        steps: denoise steps as indices of 1000, instead of the task's.
        engine: how passes are run.
    """
    config = bench_config(plain.shape, "trimmed", "video-to-video", steps=steps, engine=engine)
    kept = sorted({1.0, *fractions}, reverse=True)
    runs: dict[str, Callable[[], float]] = {}
    for kind, model in (("plain", plain), ("quantised", quantised)):
        stream = BlockStream(model, config)
        stream.fill_window()
        runs |= {f"{kind} {fraction:g}": _timed(stream, fraction, spread) for fraction in kept}
    times = interleave(runs, repeats, warm_up=WARM_UP[engine])
    return {
        "engine": stream.scheduler.job.engine.summary(),
        "denoise_steps": len(stream.scheduler.sigmas),
        "context_frames": stream.context_frames,
        "masks": spread,
        "rows": [_row(fraction, times) for fraction in kept],
    }


def _timed(stream: BlockStream, fraction: float, spread: Spread) -> Callable[[], float]:
    keep_mask = random_mask(stream.grid, fraction, spread=spread).to(stream.device)
    return lambda: stream.run(keep_mask).seconds


def _row(fraction: float, times: dict[str, list[float]]) -> dict[str, Any]:
    plain, quantised = times[f"plain {fraction:g}"], times[f"quantised {fraction:g}"]
    dense = times["plain 1"]
    pruned_alone, quantised_alone = paired_ratio(plain, dense), paired_ratio(times["quantised 1"], dense)
    return {
        "kept": fraction,
        "plain_seconds": statistics.median(plain),
        "quantised_seconds": statistics.median(quantised),
        "quantised_to_plain": paired_ratio(quantised, plain),
        "both_to_dense": paired_ratio(quantised, dense),
        "product": pruned_alone.median * quantised_alone.median,
    }


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of kept fractions; where the last two columns agree, the gains of both multiply."""
    quantise = figures["quantise"]
    steps = counted(figures["denoise_steps"], "denoise step")
    return [
        f"engine {figures['engine']}",
        f"linear layers in {quantise} against the same as they are: a block of {steps} with its clean pass inside, "
        f"window of {figures['context_frames']} frames, {figures['masks']} masks",
        f"  kept   s/block   {quantise:>5} s    {quantise}/plain (min..max)     both to dense (min..max)   "
        "product of each alone",
        *(
            f"  {row['kept']:.3f}  {row['plain_seconds']:8.4f}  {row['quantised_seconds']:8.4f}"
            f"  {row['quantised_to_plain']!s:>22}  {row['both_to_dense']!s:>27}  {row['product']:21.3f}"
            for row in figures["rows"]
        ),
    ]
