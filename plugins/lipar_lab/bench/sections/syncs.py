"""Waits of the host for the GPU inside one block, by the line that waits."""

import collections
import warnings
from pathlib import Path
from typing import Any

import torch

from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.setup import Setup
from lipar_lab.bench.stream import BlockStream, bench_config


def fits(setup: Setup) -> bool:
    """Causal models on a GPU."""
    return setup.model.shape.causal and setup.on_cuda


def measure(setup: Setup) -> dict[str, Any]:
    """The waits of a block that keeps half of its tokens."""
    return count_syncs(setup.model, 0.5)


def count_syncs(model: BenchModel, kept: float) -> dict[str, Any]:
    """Count the waits inside one pruned block by PyTorch's own warning.

    The two waits by which a block is timed give no such warning and are not counted.

    Args:
        model: a causal model on a GPU.
        kept: kept fraction of the block.

    Returns:
        `count`, and `lines`: the number of waits by `folder/file:line`.
    """
    stream = BlockStream(model, bench_config(model.shape, "trimmed", "video-to-video"))
    stream.fill_window()
    keep_mask = random_mask(stream.grid, kept).to(model.device)
    stream.run(keep_mask)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the mode warns that it is a prototype
        torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            stream.run(keep_mask)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    lines = collections.Counter(
        f"{'/'.join(Path(one.filename).parts[-2:])}:{one.lineno}"
        for one in caught
        if "synchroniz" in str(one.message)
    )
    return {"count": sum(lines.values()), "lines": dict(lines.most_common())}


def lines(figures: dict[str, Any]) -> list[str]:
    """The number of waits, then one line for each place."""
    where = [f"  {count:4d}  {line}" for line, count in figures["lines"].items()]
    return [f"host waits for the device inside a block: {figures['count']}", *where]
