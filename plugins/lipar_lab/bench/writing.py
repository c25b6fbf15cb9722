"""Time, size and quality of writing pixel frames: as lipar does it, and as it did before."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import torch
import torch.nn.functional as F
from torch import Tensor

from lipar.speedup import paired_ratio
from lipar.video import VideoReader, VideoWriter
from lipar.video.encoding import DEFAULT_ENCODING, Encoding
from lipar.video.quality import psnr
from lipar_lab.bench.ratios import interleave

Size: TypeAlias = tuple[int, int]
"""Width and height."""
Enlarge: TypeAlias = Callable[[Tensor, Size], Tensor]
"""From a frame in [0, 1] to what the writer is given."""

BEFORE = Encoding.of(quality="medium:18")
"""The encoding of all files until `--quality` was there."""


def interpolated(rgb: Tensor, size: Size) -> Tensor:
    """A frame at another size, by bicubic interpolation of numbers; in [0, 1].

    Args:
        rgb: `3 height width`, in [0, 1].
        size: of the result.
    """
    width, height = size
    if rgb.shape[1:] == (height, width):
        return rgb
    scaled = F.interpolate(rgb[None], (height, width), mode="bicubic", align_corners=False, antialias=True)
    return scaled[0].clamp(0, 1)


def bytes_as_before(rgb: Tensor, size: Size) -> Tensor:
    """Bytes at the size of the video as they were made until issue 17: numbers are enlarged, checked and rounded.

    The copy of bytes into the picture, which took some milliseconds more then, is that of today.

    Args:
        rgb: `3 height width`, in [0, 1].
        size: of the video.
    """
    full = interpolated(rgb, size)
    assert bool(torch.isfinite(full).all())
    return full.clamp(0, 1).mul(255).round_().to(torch.uint8)


def as_it_is(rgb: Tensor, size: Size) -> Tensor:
    """What the writer is given today: the frame as it leaves the model.

    Args:
        rgb: `3 height width`, in [0, 1].
        size: of the video, to which the writer scales.
    """
    return rgb


def measure_writing(frames: Sequence[Tensor], size: Size, *, repeats: int) -> dict[str, Any]:
    """CPU time per frame, file size and PSNR of both ways, interleaved.

    PSNR is that of the written file to `interpolated` frames.

    Args:
        frames: `3 height width` each, in [0, 1], on the CPU.
        size: of the video.
        repeats: interleaved rounds.
    """
    ways: dict[str, tuple[Enlarge, Encoding]] = {
        "before": (bytes_as_before, BEFORE),
        "now": (as_it_is, DEFAULT_ENCODING),
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{name}.mp4" for name in ways}
        runs: dict[str, Callable[[], float]] = {
            name: partial(_written, paths[name], frames, size, *way) for name, way in ways.items()
        }
        runs |= {f"{name}, pictures": partial(_pictures, frames, size, way[0]) for name, way in ways.items()}
        times = interleave(runs, repeats)
        found = {name: _quality(paths[name], frames, size) for name in ways}
    per_frame = {name: 1000 * statistics.median(taken) / len(frames) for name, taken in times.items()}
    return {
        "frames": len(frames),
        "from": (frames[0].shape[2], frames[0].shape[1]),
        "to": size,
        "cpu_seconds": times,
        "cpu_milliseconds": per_frame,
        "ratio": paired_ratio(times["before"], times["now"]),
        **found,
    }


def _writer(path: Path, size: Size, encoding: Encoding) -> VideoWriter:
    return VideoWriter(path, width=size[0], height=size[1], time_base=Fraction(1, 24), encoding=encoding)


def _written(path: Path, frames: Sequence[Tensor], size: Size, enlarge: Enlarge, encoding: Encoding) -> float:
    start = time.process_time()
    with _writer(path, size, encoding) as writer:
        for index, rgb in enumerate(frames):
            writer.write(enlarge(rgb, size), pts=index, duration=1)
    return time.process_time() - start


def _pictures(frames: Sequence[Tensor], size: Size, enlarge: Enlarge) -> float:
    """CPU seconds of everything before the encoder."""
    with tempfile.TemporaryDirectory() as folder:
        writer = _writer(Path(folder) / "a.mp4", size, DEFAULT_ENCODING)
        start = time.process_time()
        for rgb in frames:
            writer.picture(enlarge(rgb, size))
        return time.process_time() - start


def _quality(path: Path, frames: Sequence[Tensor], size: Size) -> dict[str, float]:
    with VideoReader(path) as reader:
        found = [psnr(shown.unit(), interpolated(rgb, size)) for shown, rgb in zip(reader, frames)]
    return {
        "bytes": path.stat().st_size,
        "psnr": statistics.mean(found),
        "worst_psnr": min(found),
    }
