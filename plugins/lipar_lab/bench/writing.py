"""Time, size and quality of writing pixel frames: as lipar does it, and as it did before."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

import av
import numpy as np
import torch
import torch.nn.functional as F
from av.video.reformatter import ColorRange, VideoReformatter
from torch import Tensor

from lipar.metrics.fidelity import psnr
from lipar.speedup import paired_ratio
from lipar.video import VideoReader, VideoWriter
from lipar.video.colour import MATRIX_CODES
from lipar.video.convert import SCALING
from lipar.video.encoding import DEFAULT_ENCODING, Encoding
from lipar_lab.bench.ratios import interleave

Size: TypeAlias = tuple[int, int]
"""Width and height."""
ToPicture: TypeAlias = Callable[[VideoWriter, Tensor], av.VideoFrame]
"""From a frame in [0, 1] to the picture that a writer encodes."""

BEFORE = Encoding.of(quality="medium:18")
"""The encoding of all files until `--quality` was there."""
OTHERS = tuple(
    Encoding.of(codec, quality)
    for codec, quality in (("h264", "medium:18"), ("h264", "veryfast:17"), ("hevc", None), ("av1", None))
)
"""Encodings that are compared with the default."""


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


class PictureBefore:
    """The picture to encode as it was made until issue 17: numbers were enlarged, checked and rounded at its size."""

    def __init__(self) -> None:
        self._scaler = VideoReformatter()

    def __call__(self, writer: VideoWriter, rgb: Tensor) -> av.VideoFrame:
        """The picture of a frame.

        Args:
            writer: gives the size.
            rgb: `3 height width`, in [0, 1].
        """
        full = interpolated(rgb, writer.size)
        assert bool(torch.isfinite(full).all())
        channels = full.clamp(0, 1).mul(255).round_().to(torch.uint8)
        planar = av.VideoFrame(*writer.size, "gbrp")
        for plane, channel in zip(planar.planes, (1, 2, 0)):
            padded = np.zeros((writer.size[1], plane.line_size), np.uint8)
            padded[:, : writer.size[0]] = channels[channel].numpy()
            plane.update(padded.tobytes())
        planar.colorspace, planar.color_range = MATRIX_CODES["rgb"], ColorRange.JPEG
        return self._scaler.reformat(
            planar,
            format="yuv444p" if any(side % 2 for side in writer.size) else "yuv420p",
            dst_colorspace=MATRIX_CODES["bt709"],
            interpolation=SCALING,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )


def measure_writing(frames: Sequence[Tensor], size: Size, *, repeats: int) -> dict[str, Any]:
    """CPU time per frame, file size and PSNR: before, now, and now with the encodings of `OTHERS`, interleaved.

    PSNR is that of the written file to `interpolated` frames.

    Args:
        frames: `3 height width` each, in [0, 1], on the CPU.
        size: of the video.
        repeats: interleaved rounds.
    """
    ways: dict[str, tuple[ToPicture, Encoding]] = {
        "before": (PictureBefore(), BEFORE),
        "now": (VideoWriter.picture, DEFAULT_ENCODING),
        **{str(one): (VideoWriter.picture, one) for one in OTHERS},
    }
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / f"{index}.mp4" for index, name in enumerate(ways)}
        runs: dict[str, Callable[[], float]] = {
            name: partial(_written, paths[name], frames, size, *way) for name, way in ways.items()
        }
        runs |= {
            f"{name}, pictures": partial(_pictures, frames, size, ways[name][0]) for name in ("before", "now")
        }
        times = interleave(runs, repeats)
        files = {name: _quality(paths[name], frames, size) for name in ways}
    per_frame = {name: 1000 * statistics.median(taken) / len(frames) for name, taken in times.items()}
    return {
        "frames": len(frames),
        "from": (frames[0].shape[2], frames[0].shape[1]),
        "to": size,
        "cpu_seconds": times,
        "cpu_milliseconds": per_frame,
        "ratio": paired_ratio(times["before"], times["now"]),
        "files": files,
    }


def _writer(path: Path, size: Size, encoding: Encoding) -> VideoWriter:
    return VideoWriter(path, width=size[0], height=size[1], time_base=Fraction(1, 24), encoding=encoding)


def _written(
    path: Path, frames: Sequence[Tensor], size: Size, to_picture: ToPicture, encoding: Encoding
) -> float:
    start = time.process_time()
    with _writer(path, size, encoding) as writer:
        for index, rgb in enumerate(frames):
            writer.write_picture(to_picture(writer, rgb), pts=index, duration=1)
    return time.process_time() - start


def _pictures(frames: Sequence[Tensor], size: Size, to_picture: ToPicture) -> float:
    """CPU seconds of everything before the encoder."""
    with tempfile.TemporaryDirectory() as folder:
        writer = _writer(Path(folder) / "a.mp4", size, DEFAULT_ENCODING)
        start = time.process_time()
        for rgb in frames:
            to_picture(writer, rgb)
        return time.process_time() - start


def _quality(path: Path, frames: Sequence[Tensor], size: Size) -> dict[str, Any]:
    with VideoReader(path) as reader:
        found = [psnr(shown.unit(), interpolated(rgb, size)) for shown, rgb in zip(reader, frames)]
    return {
        "bytes": path.stat().st_size,
        "psnr": statistics.mean(found),
        "worst_psnr": min(found),
    }
