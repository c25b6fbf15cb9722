"""Peak memory: full window and trimmed, dense and pruned, at some lengths of video."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import attrs
import torch

from lipar.config import PartConfig
from lipar.plugin.host import load_plugins
from lipar.plugin.parts import make_part
from lipar.protocols import Adapter
from lipar_lab.bench.machine import peak_memory, reset_peak_memory
from lipar_lab.bench.masks import random_mask
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.stream import WINDOWS, BlockStream, Window, bench_config

PRUNED = 0.68
"""Kept fraction of the pruned runs: the paper's average."""
STEPS = (400,)
"""One denoise step and the clean pass: the peak of a block does not depend on how many there are."""


@attrs.frozen(kw_only=True)
class MemoryCase:
    """One cell of the table; plain values, so that another process can be told."""

    shape: str
    layers: int | None
    device: str
    dtype: str
    size: tuple[int, int] | None
    window: Window
    kept: float
    frames: int


def load_model(
    shape: str,
    layers: int | None,
    device: torch.device,
    dtype: torch.dtype,
    size: tuple[int, int] | None = None,
) -> BenchModel:
    """The adapter's random model; `size` puts other rows and columns of tokens than the shape's."""
    options = {"shape": shape} | ({} if layers is None else {"layers": layers})
    adapter: Adapter = make_part(load_plugins(), "adapter", PartConfig("random-wan", options))
    model = adapter.load(device, dtype)
    assert isinstance(model, BenchModel)
    if size is not None:
        model.shape = attrs.evolve(model.shape, rows=size[0], cols=size[1])
    return model


def run_case(case: MemoryCase) -> dict[str, Any]:
    """Peak of a video whose last block is run by the model, the ones before filled in at random."""
    device = torch.device(case.device)
    model = load_model(case.shape, case.layers, device, getattr(torch, case.dtype), case.size)
    return {"model_bytes": _model_bytes(model), **peak_of(model, case)}


def peak_of(model: BenchModel, case: MemoryCase) -> dict[str, Any]:
    """The same with a model at hand."""
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
    parameters = model.transformer.parameters() if hasattr(model, "transformer") else []
    return sum(parameter.numel() * parameter.element_size() for parameter in parameters)


def measure_memory(
    case: MemoryCase, lengths: list[int], *, model: BenchModel | None = None
) -> dict[str, Any]:
    """All cells; each in a new process on a CPU, whose peak never falls, and with `model` on a GPU."""
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
