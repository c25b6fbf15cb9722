"""A stream of random blocks through the scheduler, in steady state, each with a given mask."""

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
    """A plugin that prunes every block by the mask that is set at that moment."""

    keep_mask: Tensor

    @hookimpl
    def lipar_prune(self, job: Job, first_frame: int) -> TokenLayout:
        """The layout of the current mask."""
        return TokenLayout(self.keep_mask, first_frame=first_frame, has_history=job.history is not None)


@attrs.define(eq=False)
class Prefill:
    """A plugin that, while active, fills the KV cache with random rows and does not run the model."""

    heads: int
    """Attention heads of the model."""
    active: bool = False

    @hookimpl
    def lipar_forward(
        self, job: Job, latents: Latents, forward_pass: ForwardPass, layout: TokenLayout
    ) -> Latents | None:
        """Zeros; in the clean pass, random keys and values enter the cache. None while not active."""
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
    """The default config with one of the two windows.

    Args:
        shape: sizes of the model.
        window: `trimmed`: first frame and last 6; `full`: as many frames as a training clip has.
        task: `video-to-video` edits at strength 0.4, `text-to-video` denoises from pure noise.
        keep_whole_video: the full window keeps every frame of the video, so that the growth of memory is seen.
        steps: denoise steps as indices of 1000, instead of the task's.
    """
    if window == "trimmed":
        cache = CacheConfig(sink_frames=1, window_frames=2 * shape.block_frames)
    elif keep_whole_video:
        cache = CacheConfig(sink_frames=0, window_frames=0)
    else:
        # All frames except the block's own and the one before it are sink, so the context keeps a clip's length.
        window_frames = shape.block_frames + 1
        cache = CacheConfig(sink_frames=shape.clip_frames - window_frames, window_frames=window_frames)
    return Config(
        adapter=PartConfig("random-wan"),
        # the only donors that exist in a cache that was filled without the model
        noise=PartConfig("kv-cache"),
        prune=PruneConfig(tau_short=0.15, tau_long=0.3, scene_cuts=False),
        cache=cache,
        strength=None if task == "text-to-video" else 0.4,
        steps=steps,
    )


class BlockStream:
    """Runs one block after the other, each with its own mask.

    Args:
        model: a causal model.
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
        """Latent frames that a block attends to in steady state, its own included."""
        cache = self.scheduler.job.cache
        return cache.sink_frames + cache.window_frames

    def prefill(self, blocks: int) -> None:
        """Run so many blocks without the model: random rows fill the cache."""
        self._prefill.active = True
        for _ in range(blocks):
            self.run(self._everything)
        self._prefill.active = False

    def fill_window(self) -> None:
        """Prefill until the window is full: from then on, every block evicts one."""
        self.prefill(-(-self.context_frames // self.grid[0]))

    def run(self, keep_mask: KeepMask) -> RestoredBlock:
        """Run the next block, from noise to clean pass."""
        self._masks.keep_mask = keep_mask
        return next(self._blocks)

    def run_staged(self, keep_mask: KeepMask) -> dict[str, float]:
        """Run the next block and return the seconds of each stage; `other` is the rest (context, noise)."""
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
