"""A stream of random blocks through the scheduler, in steady state, each with a given mask."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import attrs
import torch
from torch import Tensor

from lipar.config import CacheConfig, Config, EngineName, PartConfig, PruneConfig, RunConfig
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

Window = Literal["full", "trimmed", "sliding"]
Task = Literal["video-to-video", "text-to-video"]
WINDOWS: tuple[Window, ...] = ("full", "trimmed")
"""Those of `--window`; `sliding` is that of the section `end-to-end`."""
TASKS: tuple[Task, ...] = ("video-to-video", "text-to-video")


@attrs.define(eq=False)
class GivenMasks:
    """A plugin that prunes every block by the mask that is set at that moment."""

    keep_mask: Tensor

    @hookimpl
    def lipar_prune(self, job: Job, first_frame: int) -> TokenLayout:
        """The layout of the current mask; the mask of the chosen parts is decided, too, for its time."""
        job.masks.decide()
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
                job.context.attend(layer_idx, states, states, states, no_attention)
        return torch.zeros_like(latents)


def no_attention(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None = None) -> Tensor:
    """An attention kernel that computes nothing and returns the queries."""
    return q


_: AttentionKernel = no_attention


def bench_config(
    shape: Shape,
    window: Window,
    task: Task,
    *,
    keep_whole_video: bool = False,
    steps: tuple[int, ...] | None = None,
    noise: str = "kv-cache",
    engine: EngineName = "eager",
) -> Config:
    """The default config with one of the two windows.

    Args:
        shape: sizes of the model.
        window: `trimmed`: first frame and last 6; `full`: as many frames as a training clip has, at the position of
            its last block; `sliding`: as many, as an endless stream has them: the first frame and the latest ones, so
            that every block evicts one.
        task: `video-to-video` edits at strength 0.4, `text-to-video` denoises from pure noise.
        keep_whole_video: the full window keeps every frame of the video, so that the growth of memory is seen.
        steps: denoise steps as indices of 1000, instead of the task's.
        noise: the noise source, by name; one that needs blocks computed by the model has no donors in a cache that was
            filled without it.
        engine: how passes are run.
    """
    if window == "trimmed":
        cache = CacheConfig(sink_frames=1, window_frames=2 * shape.block_frames)
    elif window == "sliding":
        cache = CacheConfig(sink_frames=1, window_frames=shape.clip_frames - 1)
    elif keep_whole_video:
        cache = CacheConfig(sink_frames=0, window_frames=0)
    else:
        # All frames except the block's own and the one before it are sink, so the context keeps a clip's length.
        window_frames = shape.block_frames + 1
        cache = CacheConfig(sink_frames=shape.clip_frames - window_frames, window_frames=window_frames)
    return Config(
        adapter=PartConfig("random-wan"),
        noise=PartConfig(noise),
        run=RunConfig(engine=engine),
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
        source: clean latents of one block after the other; None: the same random block for ever.
        plugins: to be told of the run.
        dense: every block keeps every token, as in a run without pruning; its masks are not decided.
    """

    def __init__(
        self,
        model: BenchModel,
        config: Config,
        *,
        source: Iterable[Latents] | None = None,
        plugins: tuple[Any, ...] = (),
        dense: bool = False,
    ) -> None:
        shape = model.shape
        self.grid = (shape.block_frames, shape.rows, shape.cols)
        self.device = model.device
        self._everything = torch.ones(self.grid, dtype=torch.bool, device=self.device)
        self._masks = GivenMasks(self._everything)
        self._prefill = Prefill(shape.heads)
        host = load_plugins(self._masks, self._prefill, *plugins)
        self.scheduler = Scheduler(model, config, host=host, dense=dense)
        self._blocks = self.scheduler.run(random_blocks(model) if source is None else source)

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


def random_blocks(model: BenchModel) -> Iterator[Latents]:
    """The same block of random latents, for ever.

    Args:
        model: its shape, device and type are those of the block.
    """
    shape = model.shape
    size = (1, shape.block_frames, shape.latent_channels, shape.rows * shape.patch, shape.cols * shape.patch)
    block = torch.randn(size, generator=torch.Generator().manual_seed(0)).to(model.device, model.dtype)
    while True:
        yield block
