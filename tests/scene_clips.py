"""Clips of several scenes, whose cuts are found in the latents of the toy autoencoder."""

from fractions import Fraction
from pathlib import Path

import torch

from lipar.video import VideoReader, VideoWriter
from lipar.video.encoding import Encoding

LOSSLESS = Encoding.of("ffv1")
SCENES = (16, 36, 8, 25)
"""Frames: a cut in the middle of a block, another, one at the begin of a block, and a last block that is not full."""


def clip_of_scenes(path: Path, scenes: tuple[int, ...] = SCENES, side: int = 48) -> Path:
    """Noise that moves over stripes; each scene has a noise of its own."""
    generator = torch.Generator().manual_seed(3)
    frames = []
    for index, count in enumerate(scenes):
        still = (
            torch.rand(3, side // 8, side // 8, generator=generator)
            .repeat_interleave(8, 1)
            .repeat_interleave(8, 2)
        )
        for frame in range(count):
            picture = still.clone()
            picture[:, 8:16, (8 * index + frame) % (side - 8) :][:, :, :8] = 1 - index / 4
            frames.append(picture)
    with VideoWriter(path, width=side, height=side, time_base=Fraction(1, 25), encoding=LOSSLESS) as writer:
        for pts, frame in enumerate(frames):
            writer.write(frame, pts=pts, duration=1)
        writer.close()
    return path


def frames_of(path: Path) -> torch.Tensor:
    with VideoReader(path) as reader:
        return torch.stack([frame.rgb for frame in reader])
