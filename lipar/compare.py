"""Pruned beside dense, on real clips: how much is kept, how much faster, how near the picture stays."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import attrs
import torch
from torch import Tensor

from lipar.config import Config
from lipar.edit import model_size
from lipar.hookspecs import hookimpl
from lipar.layout import TokenLayout
from lipar.pixels import BlockEncoder, cut_frame
from lipar.plugins import PluginHost
from lipar.protocols import Model
from lipar.scheduler import RestoredBlock, Scheduler
from lipar.source import SourcePiece, moved
from lipar.types import Latents


@attrs.frozen(kw_only=True)
class Comparison:
    """One way of pruning one clip, against the dense run of the same model, seed and window."""

    clip: str
    variant: str
    frames: int
    """Pixel frames decoded; the last block is filled with copies of the clip's last frame."""
    kept_fraction: float
    """Of the blocks after the first, which is whole."""
    speedup: float
    """Denoising and clean pass, dense seconds over pruned, of those blocks that prune anything; 1 if none does."""
    psnr: float
    """Pixels of those blocks against the dense run's, in dB (peak 1); infinite where they are equal."""
    scene_cuts: tuple[int, ...]
    """Pixel frames at which the blocks begin in which a new scene does, the first block excepted."""


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
    from lipar.video import VideoReader

    coder = model.autoencoder
    if coder is None:
        raise ValueError(
            "this model has no autoencoder, so it cannot read a clip; take another adapter (`lipar models`)"
        )
    with VideoReader(path) as reader, torch.no_grad():
        reader.size = model_size(model, (reader.info.width, reader.info.height))
        return [moved(piece, "cpu") for piece in BlockEncoder(reader, model, coder)]


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
) -> Iterator[Comparison]:
    """Run a clip dense, then every variant, then (where asked) random pruning at the first variant's rate.

    Dense and pruned blocks are timed alternately, each pruned block right after its own dense run.

    Args:
        variants: name -> config; all share the first one's seed, strength and cache for a fair dense run.
    """
    source = encode_clip(model, path)
    dense_runs: dict[str, list[Tensor]] = {}

    def dense(config: Config) -> list[Tensor]:
        plain = _without_pruning(config)
        key = repr(plain)
        if key not in dense_runs:
            blocks = list(Scheduler(model, plain, host=host, dense=True).run(source))
            dense_runs[key] = list(_decoded(model, blocks))
        return dense_runs[key]

    def run(name: str, config: Config) -> tuple[Comparison, list[RestoredBlock]]:
        scheduler = Scheduler(model, config, host=host, probe_blocks=range(1, len(source)))
        blocks = list(scheduler.run(source))
        return _compared(path, name, model, blocks, dense(config)), blocks

    kept: dict[int, int] = {}
    for name, config in variants.items():
        compared, blocks = run(name, config)
        kept = kept or {block.first_frame: block.layout.kept_count for block in blocks}
        yield compared
    if random:
        with host.extended(SameRate(kept)):
            yield run("random at the same rate", next(iter(variants.values())))[0]


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
    probed = [block for block in later if block.dense_seconds is not None]
    tokens = sum(block.layout.token_count for block in later)
    assert model.autoencoder is not None
    cuts = [cut_frame(model.autoencoder, block) for block in blocks]
    pruned_seconds = sum(block.seconds for block in probed)
    return Comparison(
        clip=path.stem,
        variant=name,
        frames=sum(chunk.shape[1] for chunk in pixels),
        kept_fraction=sum(block.layout.kept_count for block in later) / tokens if tokens else 1.0,
        speedup=sum(block.dense_seconds or 0.0 for block in probed) / pruned_seconds
        if pruned_seconds
        else 1.0,
        psnr=psnr(pixels[1:], dense_pixels[1:]) if len(pixels) > 1 else math.inf,
        scene_cuts=tuple(frame for frame in cuts if frame is not None),
    )
