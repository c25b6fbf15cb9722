"""Pruned beside dense, on real clips: how much is kept, how much faster, how near the picture stays."""

import math
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs
import torch
from torch import Tensor

from lipar.config import Config
from lipar.editing.encoder import BlockEncoder, cut_frame
from lipar.editing.source import model_size
from lipar.hookspecs import hookimpl
from lipar.job import RestoredBlock
from lipar.layout import TokenLayout
from lipar.masks.source import SourcePiece, moved
from lipar.plugin.host import PluginHost
from lipar.protocols import Model
from lipar.scheduler import Scheduler
from lipar.speedup import Speedup, Verdict
from lipar.types import Latents

RANDOM = "random at the same rate"
"""The row that prunes at random, as many tokens in every block as the first variant."""


@attrs.frozen(kw_only=True)
class Comparison:
    """One way of pruning one clip, against the dense run of the same model, seed and window."""

    clip: str
    variant: str
    frames: int
    """Pixel frames decoded; the last block is filled with copies of the clip's last frame."""
    kept_fraction: float
    """Of the blocks after the first, which is whole."""
    speedup: float | None
    """Denoising and clean pass, dense seconds over pruned, the median of those blocks that have their whole context,
    prune anything and are not filled up with copies; None where one cannot tell."""
    speedup_range: tuple[float, float] | None
    """The lowest and the highest of them; None where there is none."""
    speedup_verdict: Verdict
    timed_blocks: int
    """How many they are."""
    psnr: float
    """Pixels of those blocks against the dense run's, in dB (peak 1); infinite where they are equal."""
    scene_cuts: tuple[int, ...]
    """Pixel frames at which the blocks begin in which a new scene does, the first block excepted."""
    kept_per_block: tuple[int, ...]
    """Tokens kept in each block."""


@runtime_checkable
class KeepsRows(Protocol):
    """Where finished rows are kept from run to run."""

    def find(self, clip: Path, variant: str, config: Config) -> Comparison | None:
        """The row that was taken on exactly this, or None."""
        ...

    def add(self, clip: Path, row: Comparison, config: Config) -> None:
        """Keep a row."""
        ...


@attrs.define(eq=False)
class SameRate:
    """A plugin that prunes at random, as many tokens in every block as another run kept there."""

    kept_per_block: dict[int, int]
    seed: int = 0

    @hookimpl
    def lipar_prune(self, source: Latents, first_frame: int, job: object) -> TokenLayout:
        """Keep that many tokens, uniformly at random."""
        patch = job.patch_size  # type: ignore[attr-defined] # a Job, which imports this module's parts
        grid = (source.shape[1], source.shape[3] // patch, source.shape[4] // patch)
        count = math.prod(grid)
        generator = torch.Generator().manual_seed(self.seed + first_frame)
        keep = torch.zeros(count, dtype=torch.bool)
        keep[torch.randperm(count, generator=generator)[: self.kept_per_block[first_frame]]] = True
        has_history = job.history is not None  # type: ignore[attr-defined]
        return TokenLayout(
            keep.view(grid).to(source.device), first_frame=first_frame, has_history=has_history
        )


def encode_clip(model: Model, path: Path) -> list[SourcePiece]:
    """Source of a clip at the model's size, in blocks, on the CPU."""
    return _encoded(model, path)[0]


def _encoded(model: Model, path: Path) -> tuple[list[SourcePiece], int | None]:
    """The source, and the index of the block that copies fill up."""
    from lipar.video import VideoReader

    coder = model.autoencoder
    if coder is None:
        raise ValueError(
            "this model has no autoencoder, so it cannot read a clip; take another adapter (`lipar models`)"
        )
    with VideoReader(path) as reader, torch.no_grad():
        reader.size = model_size(model, (reader.info.width, reader.info.height))
        encoder = BlockEncoder(reader, model, coder)
        return [moved(piece, "cpu") for piece in encoder], encoder.filled_block


def _decoded(model: Model, blocks: Sequence[RestoredBlock]) -> Iterator[Tensor]:
    assert model.autoencoder is not None
    decode = model.autoencoder.decoder()
    with torch.no_grad():
        for block in blocks:
            yield decode(block.latents).float().cpu()


def psnr(a: Sequence[Tensor], b: Sequence[Tensor]) -> float:
    """Peak signal-to-noise ratio in dB of pixels in [0, 1]."""
    squared = sum(float((x - y).double().square().sum()) for x, y in zip(a, b, strict=True))
    count = sum(x.numel() for x in a)
    return math.inf if squared == 0 else -10 * math.log10(squared / count)


def compare_clip(
    model: Model,
    path: Path,
    variants: dict[str, Config],
    *,
    host: PluginHost,
    random: bool = True,
    record: KeepsRows | None = None,
) -> Iterator[Comparison]:
    """Run a clip dense, then every variant, then (where asked) random pruning at the first variant's rate.

    Dense and pruned blocks are timed alternately, each pruned block right after its own dense run.

    Args:
        variants: name -> config; all share the first one's seed, strength and cache for a fair dense run.
        record: keeps rows as they are finished, and gives those that were taken before, which are not run again.
    """
    runs = _ClipRuns(model, path, host, record)
    kept: tuple[int, ...] = ()
    for name, config in variants.items():
        row = runs.row(name, config)
        kept = kept or row.kept_per_block
        yield row
    if random:
        per_block = {index * model.block_frames: count for index, count in enumerate(kept)}
        with host.extended(SameRate(per_block)):
            yield runs.row(RANDOM, next(iter(variants.values())))


class _ClipRuns:
    """The runs of one clip: its source is encoded once, and each dense run is made once, when it is needed."""

    def __init__(self, model: Model, path: Path, host: PluginHost, record: KeepsRows | None) -> None:
        self._model, self._path, self._host, self._record = model, path, host, record
        self._dense: dict[str, list[Tensor]] = {}

    @cached_property
    def _source(self) -> tuple[list[SourcePiece], int | None]:
        return _encoded(self._model, self._path)

    def row(self, name: str, config: Config) -> Comparison:
        """From the record, or run and put on record."""
        row = None if self._record is None else self._record.find(self._path, name, config)
        if row is None:
            row = self._compare(name, config)
            if self._record is not None:
                self._record.add(self._path, row, config)
        return row

    def _compare(self, name: str, config: Config) -> Comparison:
        source, filled = self._source
        scheduler = Scheduler(self._model, config, host=self._host, probe=lambda index: index != filled)
        blocks = list(scheduler.run(source))
        return _compared(self._path, name, self._model, blocks, self._dense_pixels(config))

    def _dense_pixels(self, config: Config) -> list[Tensor]:
        plain = _without_pruning(config)
        key = repr(plain)
        if key not in self._dense:
            blocks = list(Scheduler(self._model, plain, host=self._host, dense=True).run(self._source[0]))
            self._dense[key] = list(_decoded(self._model, blocks))
        return self._dense[key]


def _without_pruning(config: Config) -> Config:
    """What the dense run depends on: neither the mask nor the recovery."""
    plain = Config()
    return attrs.evolve(
        config,
        criterion=plain.criterion,
        refiners=plain.refiners,
        recovery=plain.recovery,
        noise=plain.noise,
        restorer=plain.restorer,
        prune=attrs.evolve(plain.prune, scene_cuts=config.prune.scene_cuts),
    )


def _compared(
    path: Path, name: str, model: Model, blocks: list[RestoredBlock], dense_pixels: list[Tensor]
) -> Comparison:
    pixels = list(_decoded(model, blocks))
    later = [block for block in blocks if block.layout.has_history]
    pairs = [(block.dense_seconds, block.seconds) for block in blocks if block.dense_seconds is not None]
    speedup = Speedup(tuple(pairs))
    tokens = sum(block.layout.token_count for block in later)
    assert model.autoencoder is not None
    cuts = [cut_frame(model.autoencoder, block) for block in blocks]
    return Comparison(
        clip=path.stem,
        variant=name,
        frames=sum(chunk.shape[1] for chunk in pixels),
        kept_fraction=sum(block.layout.kept_count for block in later) / tokens if tokens else 1.0,
        speedup=speedup.figure,
        speedup_range=speedup.range,
        speedup_verdict=speedup.verdict,
        timed_blocks=len(pairs),
        psnr=psnr(pixels[1:], dense_pixels[1:]) if len(pixels) > 1 else math.inf,
        scene_cuts=tuple(frame for frame in cuts if frame is not None),
        kept_per_block=tuple(block.layout.kept_count for block in blocks),
    )
