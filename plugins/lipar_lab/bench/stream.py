"""A stream of random blocks through the real scheduler, in steady state, each with the mask that it is given."""

from collections.abc import Iterator
from typing import Literal

import attrs
import torch
from torch import Tensor

from lipar.config import CacheConfig, Config, PartConfig, PruneConfig
from lipar.hookspecs import hookimpl
from lipar.job import Job, RestoredBlock
from lipar.layout import TokenLayout
from lipar.plugin.host import load_plugins
from lipar.protocols import AttentionKernel, ForwardPass
from lipar.scheduler import Scheduler
from lipar.types import KeepMask, Latents
from lipar.watch import StageTimer
from lipar_adapters.wan.shapes import Shape
from lipar_lab.bench.model import BenchModel

Window = Literal["full", "trimmed"]
Task = Literal["video-to-video", "text-to-video"]
WINDOWS: tuple[Window, ...] = ("full", "trimmed")
TASKS: tuple[Task, ...] = ("video-to-video", "text-to-video")


@attrs.define(eq=False)
class GivenMasks:
    """A plugin that answers `lipar_prune` with the mask at hand."""

    keep_mask: Tensor

    @hookimpl
    def lipar_prune(self, job: Job, first_frame: int) -> TokenLayout:
        return TokenLayout(self.keep_mask, first_frame=first_frame, has_history=job.history is not None)


@attrs.define(eq=False)
class Prefill:
    """A plugin that, while active, fills the KV cache with random rows instead of running the model."""

    heads: int
    active: bool = False

    @hookimpl
    def lipar_forward(
        self, job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout
    ) -> Latents | None:
        if not self.active:
            return None
        assert job.context is not None
        if forward_pass.clean:
            job.context.begin_pass(forward_pass)
            size = (1, layout.kept_count, self.heads, job.model.rope.head_dim)
            states = torch.randn(size, device=latents.device, dtype=latents.dtype)
            for layer_idx in range(job.model.num_layers):
                job.context.attend(layer_idx, states, states, states, _no_attention)
        return torch.zeros_like(latents)


def _no_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return q


_: AttentionKernel = _no_attention


def bench_config(
    shape: Shape,
    window: Window,
    task: Task,
    *,
    keep_whole_video: bool = False,
    steps: tuple[int, ...] | None = None,
) -> Config:
    """The defaults with one of the two windows.

    Args:
        window: `trimmed`: first frame and last 6; `full`: as many frames as a training clip has.
        keep_whole_video: the full window never forgets, as an offline run has it, so that memory can be seen to grow.
        steps: step indices to take instead of the task's.
    """
    if window == "trimmed":
        cache = CacheConfig(sink_frames=1, window_frames=2 * shape.block_frames)
    elif keep_whole_video:
        cache = CacheConfig(sink_frames=0, window_frames=0)
    else:
        # all frames but the block's own and the one before it are sink: the context stays at a clip's length
        window_frames = shape.block_frames + 1
        cache = CacheConfig(sink_frames=shape.clip_frames - window_frames, window_frames=window_frames)
    return Config(
        adapter=PartConfig("random-wan"),
        # donors that a cache has which was filled in without the model
        noise=PartConfig("kv-cache"),
        prune=PruneConfig(tau_short=0.15, tau_long=0.3, scene_cuts=False),
        cache=cache,
        strength=None if task == "text-to-video" else 0.4,
        steps=steps,
    )


class BlockStream:
    """Runs one block after the other, each with a mask of its own.

    Args:
        model: a causal one.
        config: from `bench_config`.
    """

    def __init__(self, model: BenchModel, config: Config) -> None:
        shape = model.shape
        self.grid = (shape.block_frames, shape.rows, shape.cols)
        self.device = model.device
        self._everything = torch.ones(self.grid, dtype=torch.bool, device=self.device)
        self._masks = GivenMasks(self._everything)
        self._prefill = Prefill(shape.heads)
        self.scheduler = Scheduler(model, config, host=load_plugins(self._masks, self._prefill))
        size = (
            1,
            shape.block_frames,
            shape.latent_channels,
            shape.rows * shape.patch,
            shape.cols * shape.patch,
        )
        source = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(self.device, model.dtype)
        self._blocks = self.scheduler.run(_forever(source))

    @property
    def context_frames(self) -> int:
        """Frames that a block attends to in steady state, its own included."""
        cache = self.scheduler.job.cache
        return cache.sink_frames + cache.window_frames

    def prefill(self, blocks: int) -> None:
        """Run blocks without the model."""
        self._prefill.active = True
        for _ in range(blocks):
            self.run(self._everything)
        self._prefill.active = False

    def fill_window(self) -> None:
        """Prefill until every further block pushes another out."""
        self.prefill(-(-self.context_frames // self.grid[0]))

    def run(self, keep_mask: KeepMask) -> RestoredBlock:
        """The next block, from noise to clean pass."""
        self._masks.keep_mask = keep_mask
        return next(self._blocks)

    def run_staged(self, keep_mask: KeepMask) -> dict[str, float]:
        """The next block with seconds per stage; what no stage has (block begin, noise) is `other`."""
        timer = StageTimer(self.device)
        manager = self.scheduler.host.manager
        manager.register(timer)
        block = self.run(keep_mask)
        manager.unregister(timer)
        stages = {name: seconds for name, seconds in timer.seconds.items() if name != "mask"}
        return {**stages, "other": block.seconds - sum(stages.values())}


def _forever(source: Latents) -> Iterator[Latents]:
    while True:
        yield source
