"""Time and error of decoding only the regions of a frame that changed (`lipar.regions`), against whole frames."""

import math
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lipar.regions.stream import RegionStream
from lipar.speedup import paired_ratio
from lipar.types import KeepMask, Latents
from lipar.watch.clock import Stopwatch
from lipar_lab.bench.autoencoders import Subject, subjects
from lipar_lab.bench.random_masks import random_mask
from lipar_lab.bench.ratios import interleave
from lipar_lab.bench.setup import Setup

BLOCK, BLOCKS = 3, 4
"""Latent frames decoded in one call, and calls of a run; the first is not timed, since a stream begins whole."""
SQUARE = 16
"""Pixels of the square whose error is the worst of a run: a token."""


def fits(setup: Setup) -> bool:
    """Causal models, whose tokens are two rows and columns of latents at 1/8."""
    return setup.model.shape.causal


def measure(setup: Setup) -> Iterator[dict[str, Any]]:
    """The figures of `measure_regions` for each autoencoder that is measured on the device."""
    for subject in subjects(setup, BLOCK * BLOCKS):
        fractions = sorted(set(setup.settings.fractions), reverse=True)
        yield measure_regions(subject, fractions, repeats=setup.settings.repeats)


def moving_box(grid: tuple[int, int, int], fraction: float) -> KeepMask:
    """A mask of a box that moves by a token from frame to frame, there and back.

    Args:
        grid: frames, rows, columns.
        fraction: of the tokens of each frame that are inside.
    """
    frames, rows, cols = grid
    height = min(rows, max(1, round(rows * math.sqrt(fraction))))
    width = min(cols, max(1, round(cols * rows * fraction / height)))
    mask = torch.zeros(grid, dtype=torch.bool)
    way = cols - width
    for frame in range(frames):
        left = abs((frame + way) % (2 * way) - way) if way else 0
        top = (rows - height) // 2
        mask[frame, top : top + height, left : left + width] = True
    return mask


def changing_only_at(latents: Latents, mask: KeepMask) -> Latents:
    """A video that takes new latents at the mask's tokens only, and repeats the frame before elsewhere.

    Args:
        latents: `1 t c h w`.
        mask: tokens of two rows and columns; the first frame counts as inside.
    """
    cells = mask.repeat_interleave(2, 1).repeat_interleave(2, 2).to(latents.device)
    frames = [latents[:, 0]]
    for t in range(1, latents.shape[1]):
        frames.append(torch.where(cells[t], latents[:, t], frames[-1]))
    return torch.stack(frames, 1)


def measure_regions(subject: Subject, fractions: list[float], *, repeats: int) -> dict[str, Any]:
    """Time relative to whole frames for each changed fraction, and the error where weights are trained.

    Args:
        subject: the autoencoder.
        fractions: of the tokens that change from frame to frame; 0.5 means half of them.
        repeats: interleaved rounds.
    """
    frames, _, rows, cols = subject.latents.shape[1:]
    grid = (frames, rows // 2, cols // 2)
    videos = {("box", fraction): moving_box(grid, fraction) for fraction in fractions}
    videos |= {
        ("clustered", fraction): random_mask(grid, fraction, seed=index)
        for index, fraction in enumerate(fractions)
        if fraction < 1
    }
    latents = {key: changing_only_at(subject.latents, mask) for key, mask in videos.items()}
    runs: dict[str, Callable[[], float]] = {"whole": partial(_run_whole, subject, subject.latents)}
    runs |= {
        f"{kind} {fraction:g}": partial(_run_regions, subject, latents[kind, fraction])
        for kind, fraction in videos
    }
    times = interleave(runs, repeats)
    rows_ = []
    for (kind, fraction), video in latents.items():
        name = f"{kind} {fraction:g}"
        row = {"masks": kind, "changed": fraction, "ratio": paired_ratio(times[name], times["whole"])}
        rows_.append(row | _compare(subject, video))
    return {
        "autoencoder": subject.name,
        "trained": subject.trained,
        "size": [subject.autoencoder.spatial_factor * side for side in (rows, cols)],
        "seconds": times,
        "whole_milliseconds": 1000
        * sorted(times["whole"])[len(times["whole"]) // 2]
        / (BLOCK * (BLOCKS - 1)),
        "rows": rows_,
    }


def _run_whole(subject: Subject, latents: Tensor) -> float:
    return _timed(subject.autoencoder.decoder(), latents)


def _run_regions(subject: Subject, latents: Tensor) -> float:
    return _timed(RegionStream(subject.staged()), latents)


def _timed(decode: Callable[[Latents], Tensor], latents: Tensor) -> float:
    """Seconds of all blocks but the first; on a CPU those of the process, which other programs do not change."""
    blocks = latents.split(BLOCK, 1)
    decode(blocks[0])
    if latents.device.type == "cuda":
        watch = Stopwatch(latents.device)
        for block in blocks[1:]:
            decode(block)
        return watch.seconds()
    start = time.process_time()
    for block in blocks[1:]:
        decode(block)
    return time.process_time() - start


def _compare(subject: Subject, latents: Tensor) -> dict[str, Any]:
    """The share of places that is decoded, and the error against whole frames."""
    whole, regions = subject.autoencoder.decoder(), RegionStream(subject.staged())
    frame, square = math.inf, math.inf
    for index, block in enumerate(latents.split(BLOCK, 1)):
        if index == 1:
            regions.cells = regions.decoded_cells = 0
        error = (whole(block).float() - regions(block).float()).square()[0].mean(1)
        frame = min(frame, _psnr(error.mean((1, 2)).max()))
        square = min(square, _psnr(F.avg_pool2d(error[:, None], SQUARE).max()))
    found: dict[str, Any] = {"decoded": regions.decoded_cells / regions.cells}
    return found | ({"worst_frame": frame, "worst_square": square} if subject.trained else {})


def _psnr(error: Tensor) -> float:
    """PSNR in dB of a mean squared error in [0, 1], at most 120."""
    return -10 * math.log10(max(float(error), 1e-12))


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of changed fractions."""
    height, width = figures["size"]
    quality = "   worst frame   worst square" if figures["trained"] else ""
    found = [
        f"decoding by regions, {figures['autoencoder']}, {width}x{height} pixels, whole "
        f"{figures['whole_milliseconds']:.1f} ms a latent frame",
        f"  masks      changed   decoded   T(regions)/T(whole) (min..max)   over decoded{quality}",
    ]
    for row in figures["rows"]:
        error = (
            f"   {row['worst_frame']:8.1f} dB   {row['worst_square']:9.1f} dB" if figures["trained"] else ""
        )
        found.append(
            f"  {row['masks']:<9}  {row['changed']:7.2f}   {row['decoded']:7.3f}   {row['ratio']!s:>30}   "
            f"{row['ratio'].median / row['decoded']:12.3f}{error}"
        )
    return found
