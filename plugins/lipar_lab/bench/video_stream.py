"""A stream from pixel frames to pixel frames, block by block, with the time of every stage."""

from collections.abc import Iterator

import attrs
import torch
from torch import Tensor

from lipar.config import Config
from lipar.protocols import Autoencoder
from lipar.types import KeepMask, Latents, PixelFrames
from lipar.watch import StageTimer
from lipar.watch.clock import Stopwatch
from lipar.watch.stages import seconds_per_stage
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.stream import BlockStream, random_blocks

STAGES = ("encode", "mask", "DiT", "restore", "decode", "other", "clean pass")
"""Stages of a block; `other` is the time between them: context, eviction, noise, checks."""


@attrs.frozen(kw_only=True)
class BlockTimes:
    """Seconds of one block, from its pixel frames to those of the result."""

    stages: dict[str, float]
    """By the names of `STAGES`; a stage that did not run has 0."""

    @property
    def with_clean_pass(self) -> float:
        """All stages."""
        return sum(self.stages.values())

    @property
    def without_clean_pass(self) -> float:
        """All stages but the clean pass: what one waits for the frames of a block, if that pass comes after them."""
        return self.with_clean_pass - self.stages["clean pass"]


class VideoStream:
    """Runs one block after the other from pixel frames to pixel frames, in steady state.

    Pixel frames are random values on the model's device, and the result stays there; files are neither read nor
    written.

    Args:
        model: a causal model.
        config: from `bench_config`. Where it denoises from pure noise, nothing is encoded.
        autoencoder: encodes and decodes; its latents must have the channels of the model.
        dense: see `BlockStream`.
    """

    def __init__(
        self, model: BenchModel, config: Config, autoencoder: Autoencoder, *, dense: bool = False
    ) -> None:
        self._device = model.device
        self._timer = StageTimer(model.device)
        self._decode = autoencoder.decoder()
        source = random_blocks(model) if config.strength is None else self._encoded(model, autoencoder)
        self._blocks = BlockStream(model, config, source=source, plugins=(self._timer,), dense=dense)
        self.grid = self._blocks.grid
        self.context_frames = self._blocks.context_frames
        self.denoise_steps = len(self._blocks.scheduler.sigmas)
        self._blocks.fill_window()
        self._timer.take()

    def _encoded(self, model: BenchModel, autoencoder: Autoencoder) -> Iterator[Latents]:
        encode = autoencoder.encoder()
        frames = pixel_frames(model, autoencoder)
        # a stream begins with fewer pixel frames where the first latent frame stands for fewer
        first = autoencoder.first_pixel_frames - autoencoder.next_pixel_frames
        begin = frames[:, -first:] if first < 0 else frames
        while True:
            with self._timer.measure("encode"):
                latents = encode(begin).to(model.dtype)
            begin = frames
            yield latents

    @property
    def engine(self) -> str:
        """What ran the passes so far, in a line."""
        return self._blocks.scheduler.job.engine.summary()

    def run(self, keep_mask: KeepMask) -> BlockTimes:
        """Run the next block with this mask, and wait for its pixel frames."""
        watch = Stopwatch(self._device)
        block = self._blocks.run(keep_mask)
        with self._timer.measure("decode"):
            self._decode(block.latents)
        whole = watch.seconds()
        stages = dict.fromkeys(STAGES, 0.0) | seconds_per_stage(self._timer.take())
        return BlockTimes(stages=stages | {"other": whole - sum(stages.values())})


def pixel_frames(model: BenchModel, autoencoder: Autoencoder) -> PixelFrames:
    """Random pixel frames of one block, RGB in [0, 1], on the model's device.

    Args:
        model: gives the size in tokens, and the type.
        autoencoder: gives the number of pixel frames and their size.
    """
    shape = model.shape
    height, width = (tokens * shape.patch * autoencoder.spatial_factor for tokens in (shape.rows, shape.cols))
    count = shape.block_frames * autoencoder.next_pixel_frames
    frames: Tensor = torch.rand(1, count, 3, height, width, generator=torch.Generator().manual_seed(0))
    return frames.to(model.device, model.dtype)
