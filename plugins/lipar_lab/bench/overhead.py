"""Keep-all and all but one token through lipar, against the library's own forward."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.config import PartConfig
from lipar.layout import TokenLayout
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_part
from lipar.speedup import paired_ratio
from lipar.types import KeepMask, Latents
from lipar.watch.clock import Stopwatch
from lipar_adapters.wan.shapes import Shape
from lipar_lab.bench.masks import random_mask
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.ratios import interleave


class SingleForward:
    """One forward of a block without frames before it.

    Recovery is `m-degree`, donors come from the pass itself (`noisy-chain`): without a cache there is no other.

    Args:
        frames: None: a block of the shape.
    """

    def __init__(self, model: BenchModel, host: PluginHost, *, frames: int | None = None) -> None:
        shape = model.shape
        self.model = model
        self.grid = (frames or shape.block_length, shape.rows, shape.cols)
        self._recovery = make_part(host, "recovery", PartConfig("m-degree"))
        self._noise = make_part(host, "noise", PartConfig("noisy-chain"))
        size = (1, self.grid[0], shape.latent_channels, shape.rows * shape.patch, shape.cols * shape.patch)
        self.latents = torch.randn(size, generator=torch.Generator().manual_seed(1)).to(
            model.device, model.dtype
        )
        self.timestep = self._timestep(shape)

    def _timestep(self, shape: Shape) -> Tensor:
        places = self.grid[0] * shape.tokens_per_frame
        timestep = torch.full((1, places), 500.0, device=self.model.device)
        if shape.causal:
            return timestep[:, 0]
        timestep[:, : shape.tokens_per_frame] = 0  # the clean first frame of Wan 2.2 TI2V
        return timestep

    def stock(self) -> Latents:
        """By the library."""
        return self.model.stock_forward(self.latents, self.timestep)

    def pruned(self, keep_mask: KeepMask) -> Latents:
        """Through lipar, with all that a forward needs made anew."""
        layout = TokenLayout(keep_mask, has_history=False)
        cache = KVCache(
            self.model.num_layers, self.model.rope, sink_frames=0, window_frames=0, persistent=False
        )
        attention = BlockContext(cache, layout, self._recovery, self._noise)
        return self.model.forward_at(self.latents, self.timestep, attention)

    def timed(self, run: Callable[[], Latents]) -> Callable[[], float]:
        """Seconds of a run, the device's work included."""

        def seconds() -> float:
            watch = Stopwatch(self.model.device)
            run()
            return watch.seconds()

        return seconds


def measure_overhead(
    model: BenchModel, host: PluginHost, *, repeats: int, frames: int | None = None
) -> dict[str, Any]:
    """Ratios to stock, and whether keep-all is bit-equal to it."""
    forward = SingleForward(model, host, frames=frames)
    everything = torch.ones(forward.grid, dtype=torch.bool, device=model.device)
    but_one = everything.clone()
    but_one[-1, forward.grid[1] // 2, forward.grid[2] // 2] = False
    bit_equal = torch.equal(forward.stock(), forward.pruned(everything))
    times = interleave(
        {
            "stock": forward.timed(forward.stock),
            "keep_all": forward.timed(lambda: forward.pruned(everything)),
            "all_but_one": forward.timed(lambda: forward.pruned(but_one)),
        },
        repeats,
    )
    return {
        "tokens": everything.numel(),
        "keep_all_bit_equal": bit_equal,
        "seconds": times,
        "ratio": {name: paired_ratio(times[name], times["stock"]) for name in ("keep_all", "all_but_one")},
    }


def measure_forward(
    model: BenchModel, host: PluginHost, fractions: list[float], *, repeats: int, frames: int | None = None
) -> dict[str, Any]:
    """One forward of a bidirectional model against kept fraction; frame 0 stays whole."""
    forward = SingleForward(model, host, frames=frames)
    runs, kept = {"stock": forward.timed(forward.stock)}, {}
    for index, fraction in enumerate(fractions):
        keep_mask = random_mask(forward.grid, fraction, seed=index, whole_first_frame=True).to(model.device)
        runs[f"{fraction:g}"] = forward.timed(_Pruned(forward, keep_mask))
        kept[f"{fraction:g}"] = round(fraction * keep_mask.numel())
    times = interleave(runs, repeats)
    return {"grid": forward.grid, "kept_tokens": kept, "seconds": times}


class _Pruned:
    def __init__(self, forward: SingleForward, keep_mask: Tensor) -> None:
        self._forward, self._keep_mask = forward, keep_mask

    def __call__(self) -> Latents:
        return self._forward.pruned(self._keep_mask)
