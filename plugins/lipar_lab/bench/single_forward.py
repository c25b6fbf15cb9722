"""One forward of a block without a cache, by the library and through lipar: what `overhead` and `forward` time."""

from collections.abc import Callable

import torch
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.attention.kv_cache import KVCache
from lipar.config import PartConfig
from lipar.layout import TokenLayout
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_part
from lipar.types import KeepMask, Latents
from lipar.watch.clock import Stopwatch
from lipar_adapters.wan.shapes import Shape
from lipar_lab.bench.model import BenchModel


class SingleForward:
    """One forward of a block that has no frames before it.

    The recovery is `m-degree` and donors come from the pass itself (`noisy-chain`), since there is no cache.

    Args:
        model: the model to run.
        host: plugins that offer the recovery and the noise source.
        frames: latent frames; None: a block of the shape.
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
        """Run the library's own forward."""
        return self.model.stock_forward(self.latents, self.timestep)

    def pruned(self, keep_mask: KeepMask) -> Latents:
        """Run through lipar; layout, cache and rotations are made in this call and are part of its time."""
        layout = TokenLayout(keep_mask, has_history=False)
        cache = KVCache(
            self.model.num_layers, self.model.rope, sink_frames=0, window_frames=0, persistent=False
        )
        attention = BlockContext(cache, layout, self._recovery, self._noise)
        return self.model.forward_at(self.latents, self.timestep, attention)

    def timed(self, run: Callable[[], Latents]) -> Callable[[], float]:
        """A function that runs once and returns its seconds, the device's work included."""

        def seconds() -> float:
            watch = Stopwatch(self.model.device)
            run()
            return watch.seconds()

        return seconds

    def timed_pruned(self, keep_mask: KeepMask) -> Callable[[], float]:
        """The same for `pruned` with this mask."""
        return self.timed(lambda: self.pruned(keep_mask))
