"""Peak memory for several lengths of video: full and trimmed window, dense and pruned."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import attrs
import torch

from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.setup import Setup, load_model
from lipar_lab.bench.stream import WINDOWS, BlockStream, Window, bench_config
from lipar_lab.machine import peak_memory, reset_peak_memory

GIB = 2**30
PRUNED = 0.68
"""Kept fraction of the pruned runs: the paper's average."""
STEPS = (400,)
"""One denoise step and the clean pass, since the peak of a block does not depend on the number of steps."""


@attrs.frozen(kw_only=True)
class MemoryCase:
    """One row of the table, in plain values that can be sent to another process."""

    shape: str
    layers: int | None
    device: str
    dtype: str
    size: tuple[int, int] | None
    window: Window
    kept: float
    """Kept fraction of the last block."""
    frames: int
    """Latent frames of the video."""
    quantise: str = "none"
    """Number type of the linear layers."""


def fits(setup: Setup) -> bool:
    """Causal models only: the others have no cache."""
    return setup.model.shape.causal


def measure(setup: Setup) -> dict[str, Any]:
    """The figures of `measure_memory` with the run's settings."""
    settings = setup.settings
    case = MemoryCase(
        shape=settings.shape,
        layers=settings.layers,
        device=settings.device,
        dtype=settings.dtype,
        size=settings.size,
        window="full",
        kept=1.0,
        frames=0,
        quantise=settings.quantise,
    )
    return measure_memory(case, list(settings.lengths), model=setup.model if setup.on_cuda else None)


def run_case(case: MemoryCase) -> dict[str, Any]:
    """Load the model of the case and return its size and `peak_of`, in bytes."""
    device = torch.device(case.device)
    dtype = getattr(torch, case.dtype)
    model = load_model(case.shape, case.layers, device, dtype, case.size, quantise=case.quantise)
    return {"model_bytes": _model_bytes(model), **peak_of(model, case)}


def peak_of(model: BenchModel, case: MemoryCase) -> dict[str, Any]:
    """Cache and peak memory in bytes after the last block of a video.

    The model runs only the last block; the blocks before it enter the cache as random rows.
    """
    config = bench_config(model.shape, case.window, "video-to-video", keep_whole_video=True, steps=STEPS)
    reset_peak_memory(model.device)
    stream = BlockStream(model, config)
    stream.prefill(case.frames // model.shape.block_frames - 1)
    stream.run(random_mask(stream.grid, case.kept).to(model.device))
    return {
        **attrs.asdict(case),
        "cache_bytes": stream.scheduler.job.cache.memory_bytes(),
        "peak_bytes": peak_memory(model.device),
    }


def _model_bytes(model: BenchModel) -> int:
    if not hasattr(model, "transformer"):
        return 0
    weights = [*model.transformer.parameters(), *model.transformer.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in weights)


def measure_memory(
    case: MemoryCase, lengths: list[int], *, model: BenchModel | None = None
) -> dict[str, Any]:
    """Measure all windows and kept fractions at all lengths.

    Args:
        case: what all rows have in common; its window, kept fraction and frames are replaced.
        lengths: latent frames of the videos.
        model: the model to use on a GPU. None, on a CPU: each row is a new process, since a process's peak never falls.
    """
    cases = [
        attrs.evolve(case, window=window, kept=kept, frames=frames)
        for frames in lengths
        for window in WINDOWS
        for kept in (1.0, PRUNED)
    ]
    if model is not None:
        return {"rows": [{"model_bytes": _model_bytes(model), **peak_of(model, one)} for one in cases]}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return {"rows": list(pool.map(run_case, cases))}


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of cache and peak memory."""
    return [
        "peak memory of a block with one denoise step and its clean pass, by latent frames of the video",
        "  frames   window    kept   cache GiB   peak GiB",
        *(
            f"  {row['frames']:6d}   {row['window']:7s}   {row['kept']:.2f}   {row['cache_bytes'] / GIB:9.3f}"
            f"   {row['peak_bytes'] / GIB:8.3f}"
            for row in figures["rows"]
        ),
        f"  of which weights {figures['rows'][0]['model_bytes'] / GIB:.3f} GiB",
    ]
