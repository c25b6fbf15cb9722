"""Pruned versus dense on real clips: tokens kept, speed-up, and PSNR to the dense output."""

import math
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Protocol, runtime_checkable

import attrs
import torch
from tqdm import tqdm

from lipar.config import Config
from lipar.editing.encoder import cut_frame
from lipar.job import RestoredBlock
from lipar.masks.source import SourcePiece
from lipar.metrics.fidelity import psnr
from lipar.plugin.host import PluginHost
from lipar.protocols import Model
from lipar.scheduler import Scheduler
from lipar.speedup import Speedup
from lipar.types import PixelFrames
from lipar.watch.stages import PROBE, StageTimer
from lipar_lab.compare.coding import ENCODE, decoded, encoded
from lipar_lab.compare.comparison import Comparison
from lipar_lab.compare.finished_runs import FinishedRun, KeepsRuns, ShownRun
from lipar_lab.compare.same_rate import SameRate

RANDOM = "random at the same rate"
"""The row that prunes at random, as many tokens in every block as the first variant."""
DENSE = "dense"
"""Name of the run with every token computed."""


@runtime_checkable
class KeepsRows(Protocol):
    """A store of finished rows, from which later runs take those that need not be run again."""

    def find(self, clip: Path, variant: str, config: Config) -> Comparison | None:
        """The stored row with the same clip, variant and config; None: there is none."""
        ...

    def add(self, clip: Path, row: Comparison, config: Config) -> None:
        """Store a row."""
        ...


def compare_clip(
    model: Model,
    path: Path,
    variants: dict[str, Config],
    *,
    host: PluginHost,
    random: bool = True,
    record: KeepsRows | None = None,
    runs: KeepsRuns | None = None,
    show: Callable[[ShownRun], None] | None = None,
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
        runs: store of what these runs gave; a row without its run is run again. None: no store.
        show: called with each run, the dense ones included, before its row; None: runs are not kept.

    Yields:
        A row as soon as it is finished.
    """
    made = _ClipRuns(model, path, host, record, runs, show)
    kept: tuple[int, ...] = ()
    for name, config in variants.items():
        row = made.row(name, config)
        kept = kept or row.kept_per_block
        yield row
    if random:
        per_block = {index * model.block_frames: count for index, count in enumerate(kept)}
        with host.extended(SameRate(per_block)):
            yield made.row(RANDOM, next(iter(variants.values())))


class _ClipRuns:
    """The runs of one clip; its source is encoded once, and each dense run is made once, when it is first needed."""

    def __init__(
        self,
        model: Model,
        path: Path,
        host: PluginHost,
        record: KeepsRows | None,
        runs: KeepsRuns | None,
        show: Callable[[ShownRun], None] | None,
    ) -> None:
        self._model, self._path, self._host = model, path, host
        self._record, self._runs, self._show = record, runs, show
        self._encoding = StageTimer(device=model.device)
        self._dense: dict[str, tuple[str, list[PixelFrames]]] = {}
        """Name and pixels of each dense run, by its config."""

    @cached_property
    def _source(self) -> tuple[list[SourcePiece], int | None]:
        return encoded(self._model, self._path, self._encoding)

    def row(self, name: str, config: Config) -> Comparison:
        """The row from the record, or a new one, which is added to the record."""
        run = None if self._runs is None else self._runs.find(self._path, name, config)
        row = None
        if self._record is not None and (run is not None or self._runs is None):
            row = self._record.find(self._path, name, config)
        if row is None:
            return self._new_row(name, config)
        if run is not None and self._show is not None:
            pixels = decoded(self._model, run.pieces(), self._encoding)
            self._show_run(name, config, row, run, pixels, self._dense_pixels(name, config)[0])
        return row

    def _new_row(self, name: str, config: Config) -> Comparison:
        blocks, timer = self._run(name, config)
        pixels = decoded(self._model, [block.latents for block in blocks], timer)
        dense, dense_pixels = self._dense_pixels(name, config)
        row = _compared(self._path, name, self._model, blocks, pixels, dense_pixels)
        run = self._finish(name, config, blocks, timer)
        # before the figures of the page, which take long, too
        if self._record is not None:
            self._record.add(self._path, row, config)
        self._show_run(name, config, row, run, pixels, dense)
        return row

    def _run(
        self, name: str, config: Config, *, dense: bool = False
    ) -> tuple[list[RestoredBlock], StageTimer]:
        source, filled = self._source
        timer = StageTimer(device=self._model.device)
        probe = None if dense else lambda index: index != filled
        with self._host.extended(timer):
            scheduler = Scheduler(self._model, config, host=self._host, dense=dense, probe=probe)
            title = f"{self._path.stem}, {name}"
            blocks = tqdm(
                scheduler.run(source), total=len(source), desc=title, unit="block", disable=None, leave=False
            )
            return list(blocks), timer

    def _dense_pixels(self, name: str, config: Config) -> tuple[str, list[PixelFrames]]:
        """Name and pixels of the dense run of a config."""
        plain = _without_pruning(config)
        key = repr(plain)
        if key not in self._dense:
            title = f"{DENSE} of {name}" if self._dense else DENSE
            run = None if self._runs is None else self._runs.find(self._path, DENSE, plain)
            if run is None:
                blocks, timer = self._run(DENSE, plain, dense=True)
                pixels = decoded(self._model, [block.latents for block in blocks], timer)
                run = self._finish(DENSE, plain, blocks, timer)
            else:
                pixels = decoded(self._model, run.pieces(), self._encoding)
            self._dense[key] = title, pixels
            self._show_run(title, plain, None, run, pixels, None)
        return self._dense[key]

    def _finish(
        self, name: str, config: Config, blocks: list[RestoredBlock], timer: StageTimer
    ) -> FinishedRun:
        """A run as it is stored."""
        seconds = {stage: spent for stage, spent in timer.seconds.items() if stage != PROBE}
        run = FinishedRun(
            latents=torch.cat([block.latents.cpu() for block in blocks], 1),
            keep_mask=torch.cat([block.layout.keep_mask.cpu() for block in blocks]),
            blocks=tuple(block.layout.frames for block in blocks),
            stage_seconds={ENCODE: self._encoding.seconds.get(ENCODE, 0.0), **seconds},
        )
        if self._runs is not None:
            self._runs.add(self._path, name, config, run)
        return run

    def _show_run(
        self,
        name: str,
        config: Config,
        row: Comparison | None,
        run: FinishedRun,
        pixels: list[PixelFrames],
        dense: str | None,
    ) -> None:
        if self._show is not None:
            whole = torch.cat(pixels, 1)
            self._show(ShownRun(name=name, config=config, row=row, dense=dense, run=run, pixels=whole))


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
    path: Path,
    name: str,
    model: Model,
    blocks: list[RestoredBlock],
    pixels: list[PixelFrames],
    dense_pixels: list[PixelFrames],
) -> Comparison:
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
