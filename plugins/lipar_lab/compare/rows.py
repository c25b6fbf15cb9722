"""Pruned versus dense on real clips: tokens kept, speed-up, and PSNR to the dense output."""

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
from lipar.job import Job, RestoredBlock
from lipar.layout import TokenLayout
from lipar.masks.source import SourcePiece, moved
from lipar.metrics.fidelity import psnr
from lipar.plugin.host import PluginHost
from lipar.protocols import Model
from lipar.scheduler import Scheduler
from lipar.speedup import Speedup, Verdict
from lipar.types import Latents

RANDOM = "random at the same rate"
"""The row that prunes at random, as many tokens in every block as the first variant."""


@attrs.frozen(kw_only=True)
class Comparison:
    """One row: one clip pruned in one way, versus the dense run of the same model, seed and window."""

    clip: str
    """Name of the file, without its suffix."""
    variant: str
    frames: int
    """Pixel frames decoded; the last block is filled with copies of the clip's last frame."""
    kept_fraction: float
    """Kept fraction of the blocks after the first, which is always computed in full."""
    speedup: float | None
    """Dense over pruned seconds of denoising and clean pass: the median of the timed blocks, which are those that have
    their whole context, prune something and are not filled with copies. None where the times do not allow a figure."""
    speedup_range: tuple[float, float] | None
    """The lowest and the highest ratio of the timed blocks; None where there is none."""
    speedup_verdict: Verdict
    timed_blocks: int
    """Number of timed blocks."""
    psnr: float
    """PSNR of the decoded pixels of the blocks after the first to the dense run's, in dB (peak 1); infinite where they
    are equal."""
    scene_cuts: tuple[int, ...]
    """First pixel frame of each block that starts a new scene, the first block excepted."""
    kept_per_block: tuple[int, ...]
    """Number of tokens kept in each block."""


@runtime_checkable
class KeepsRows(Protocol):
    """A store of finished rows, from which later runs take those that need not be run again."""

    def find(self, clip: Path, variant: str, config: Config) -> Comparison | None:
        """The stored row with the same clip, variant and config; None: there is none."""
        ...

    def add(self, clip: Path, row: Comparison, config: Config) -> None:
        """Store a row."""
        ...


@attrs.define(eq=False)
class SameRate:
    """A plugin that prunes at random and keeps the same number of tokens in every block as another run."""

    kept_per_block: dict[int, int]
    """Tokens to keep by the first latent frame of the block."""
    seed: int = 0

    @hookimpl
    def lipar_prune(self, source: Latents, first_frame: int, job: Job) -> TokenLayout:
        """Keep that many tokens, uniformly at random."""
        patch = job.patch_size
        grid = (source.shape[1], source.shape[3] // patch, source.shape[4] // patch)
        count = math.prod(grid)
        generator = torch.Generator().manual_seed(self.seed + first_frame)
        keep = torch.zeros(count, dtype=torch.bool)
        keep[torch.randperm(count, generator=generator)[: self.kept_per_block[first_frame]]] = True
        return TokenLayout(
            keep.view(grid).to(source.device), first_frame=first_frame, has_history=job.history is not None
        )


def encode_clip(model: Model, path: Path) -> list[SourcePiece]:
    """The source latents of a clip at the model's size, block by block, on the CPU, with their pixel frames.

    Raises:
        ValueError: the model has no autoencoder.
    """
    return _encoded(model, path)[0]


def _encoded(model: Model, path: Path) -> tuple[list[SourcePiece], int | None]:
    """The source, and the index of the block that is filled with copies of the last frame; None: no block is."""
    from lipar.video import VideoReader

    autoencoder = model.autoencoder
    if autoencoder is None:
        raise ValueError(
            "this model has no autoencoder, so it cannot read a clip; take another adapter (`lipar models`)"
        )
    with VideoReader(path) as reader, torch.no_grad():
        reader.size = model_size(model, (reader.info.width, reader.info.height))
        encoder = BlockEncoder(reader, model, autoencoder)
        return [moved(piece, "cpu") for piece in encoder], encoder.filled_block


def _decoded(model: Model, blocks: Sequence[RestoredBlock]) -> Iterator[Tensor]:
    assert model.autoencoder is not None
    decode = model.autoencoder.decoder()
    with torch.no_grad():
        for block in blocks:
            yield decode(block.latents).float().cpu()


def compare_clip(
    model: Model,
    path: Path,
    variants: dict[str, Config],
    *,
    host: PluginHost,
    random: bool = True,
    record: KeepsRows | None = None,
) -> Iterator[Comparison]:
    """Compare each variant with the dense run, then random pruning that keeps as many tokens as the first variant.

    Blocks are timed dense and pruned in turn, each pruned block right after the dense run of the same block.

    Args:
        model: its prompt must be set.
        path: the clip.
        variants: config by name. Those with equal seed, strength and cache share one dense run.
        host: plugins.
        random: whether random pruning is a row, too.
        record: store of finished rows, which are not run again; None: no store.

    Yields:
        A row as soon as it is finished.
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
    """The runs of one clip; its source is encoded once, and each dense run is made once, when it is first needed."""

    def __init__(self, model: Model, path: Path, host: PluginHost, record: KeepsRows | None) -> None:
        self._model, self._path, self._host, self._record = model, path, host, record
        self._dense: dict[str, list[Tensor]] = {}

    @cached_property
    def _source(self) -> tuple[list[SourcePiece], int | None]:
        return _encoded(self._model, self._path)

    def row(self, name: str, config: Config) -> Comparison:
        """The row from the record, or a new one, which is added to the record."""
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
    """The config with default parts, merging and reuse off: a dense run depends on none of them."""
    plain = Config()
    return attrs.evolve(
        config,
        criterion=plain.criterion,
        refiners=plain.refiners,
        recovery=plain.recovery,
        noise=plain.noise,
        restorer=plain.restorer,
        merging=plain.merging,
        reuse=plain.reuse,
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
        psnr=psnr(torch.cat(pixels[1:], 1), torch.cat(dense_pixels[1:], 1)) if len(pixels) > 1 else math.inf,
        scene_cuts=tuple(frame for frame in cuts if frame is not None),
        kept_per_block=tuple(block.layout.kept_count for block in blocks),
    )
