"""Peak memory of an edit, on a CPU each time in a process of its own, since the peak of a process never falls."""

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from typing import Any, TypeVar

import attrs
import torch

from lipar.cli.host import plugin_host
from lipar.config import Config
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_streaming_adapter
from lipar.protocols import Model
from lipar_lab.machine import peak_memory, reset_peak_memory
from lipar_lab.plan.calibration import MemoryPoint
from lipar_lab.plan.measure import PROMPT, growing_blocks, measured_config, scene

MEMORY_SHARES = (1.0, 0.3)
"""Fractions of the tokens that the blocks after the first keep."""

_Result = TypeVar("_Result")


@attrs.frozen(kw_only=True)
class Loading:
    """How to load the model of a run, in values that can be sent to another process."""

    config: Config
    device: str
    dtype: str

    def load(self, host: PluginHost) -> Model:
        """The model, with a prompt.

        Args:
            host: the plugins.
        """
        adapter = make_streaming_adapter(host, self.config)
        model = adapter.load(torch.device(self.device), getattr(torch, self.dtype))
        model.set_prompt(PROMPT)
        return model


@attrs.frozen(kw_only=True)
class Peak:
    """What a run of `peak_of` found."""

    point: MemoryPoint
    row_bytes: float
    """Bytes of the KV cache for each of its rows."""
    rows: int
    """Rows of context in the last block."""
    first: float
    """Seconds of the first block."""


def in_new_process(function: Callable[..., _Result], *given: Any) -> _Result:
    """What a function of a module returns in a new process."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn, max_tasks_per_child=1) as pool:
        return pool.submit(function, *given).result()


def load_and_peak(loading: Loading, size: tuple[int, int], share: float) -> Peak:
    """`peak_of` on a model that is loaded for it."""
    host = plugin_host()
    return peak_of(loading.load(host), loading.config, size, share, host=host)


def peak_of(model: Model, config: Config, size: tuple[int, int], share: float, *, host: PluginHost) -> Peak:
    """Peak memory until the first block with the whole context.

    Args:
        model: with an autoencoder and a prompt.
        config: names and numbers of the run.
        size: width and height to process at, in pixels.
        share: fraction of the tokens that each block after the first keeps.
        host: the plugins.
    """
    reset_peak_memory(model.device)
    config, growing = measured_config(config), growing_blocks(model, config)
    blocks = scene(model, config, [share] * (growing + 1), size, host)
    return Peak(
        point=MemoryPoint(kept=blocks[-1].layout.kept_count, peak_bytes=peak_memory(model.device)),
        row_bytes=blocks[-1].cache_bytes / max(blocks[-1].context_rows, 1),
        rows=blocks[-1].context_rows,
        first=blocks[0].seconds,
    )
