"""Time of a whole block against kept fraction, with each engine."""

from collections.abc import Iterator
from typing import Any

from lipar.config import EngineName
from lipar_lab.bench.sections.sweep import CLEAN, measure_sweep
from lipar_lab.bench.setup import Setup

RUNS: tuple[tuple[EngineName, str], ...] = (
    ("eager", "kv-cache"),
    ("compiled", "kv-cache"),
    ("graphs", "kv-cache"),
    ("eager", "step-shift"),
    ("graphs", "step-shift"),
)
"""Engines and noise sources, one after the other: a model has its layers compiled or not."""


def fits(setup: Setup) -> bool:
    """Causal models only: the others make all frames at once."""
    return setup.model.shape.causal


def measure(setup: Setup) -> Iterator[dict[str, Any]]:
    """The figures of `measure_sweep` for each engine; without a GPU there are no graphs."""
    settings = setup.settings
    for engine, noise in RUNS:
        if engine == "eager" or setup.on_cuda:
            yield measure_sweep(
                setup.model,
                list(settings.fractions),
                window="trimmed",
                task="video-to-video",
                repeats=settings.repeats,
                spread=settings.masks,  # type: ignore[arg-type]  # click accepts no others
                steps=settings.steps,
                engine=engine,
                noise=noise,
                peak_flops=setup.peak_flops,
            )


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of kept fractions: the block with its clean pass, both kinds of pass, and what is between them."""
    steps = figures["passes"] - 1
    found = [
        f"engine {figures['engine']}",
        f"  {figures['task']}, donors {figures['noise']}, window of {figures['context_frames']} frames, {steps} "
        "denoise steps and the clean pass",
        "  kept   ms a block (clean pass inside)   FPS   T(kept)/T(1) (min..max)   ms a step   clean pass   between",
    ]
    for row in figures["rows"]:
        stages, block = row["stages"], row["median_seconds"]
        between = sum(seconds for name, seconds in stages.items() if name not in ("DiT", CLEAN))
        found.append(
            f"  {row['kept']:.3f}  {1000 * block:29.1f} {row['fps']:7.1f} {row['ratio_to_dense']!s:>25}"
            f" {1000 * stages['DiT'] / steps:11.1f} {1000 * stages[CLEAN]:12.1f} {1000 * between:9.1f}"
        )
    return found
