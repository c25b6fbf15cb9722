"""A synthetic clip: a still background, three moving objects, a little sensor noise."""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TypeAlias

import torch
from torch import Tensor
from torch.nn import functional

from lipar.video.errors import VideoError
from lipar.video.frames import PixelFrame

FRAME_RATE = 24
SENSOR_NOISE = 1.2 / 255
# maps offsets from the centre, `h w` each, to the distance to the outline (negative inside) and the colour `3 h w`
Drawing: TypeAlias = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
Thing: TypeAlias = tuple[tuple[float, float], float, Drawing]
BALL, BOX, MOTH = (0.87, 0.30, 0.20), (0.16, 0.45, 0.72), (0.98, 0.85, 0.42)


def synthetic_clip(frames: int, width: int, height: int, seed: int = 0) -> Iterator[PixelFrame]:
    """The frames of a small synthetic scene, uint8 `3 h w`, 24 per second; the same for the same seed.

    Most of it does not move, so that most tokens can be pruned: a ball rolls through, a box drifts and turns, and a
    moth circles, which is small enough to be lost by a filter that removes small changes.
    """
    if min(frames, width, height) < 1:
        raise VideoError(f"a clip needs positive sizes, got {frames} frames of {width}x{height}")
    random = torch.Generator().manual_seed(seed)
    background = _background(width, height, random)
    phase = torch.rand(4, generator=random).tolist()
    # one unit is the height, y points down, the origin is the middle
    x = (torch.arange(width) + 0.5) / height - width / height / 2
    y = (torch.arange(height) + 0.5) / height - 0.5
    for index in range(frames):
        picture = background.clone()
        for centre, reach, draw in _things(index / FRAME_RATE, width / height, phase):
            _paint(picture, x - centre[0], y - centre[1], reach, draw)
        picture += SENSOR_NOISE * torch.randn(picture.shape, generator=random)
        rgb = picture.clamp_(0, 1).mul_(255).round_().to(torch.uint8)
        yield PixelFrame(rgb=rgb, pts=index, duration=1, time_base=Fraction(1, FRAME_RATE), index=index)


def _background(width: int, height: int, random: torch.Generator) -> Tensor:
    """A plaster wall above floorboards: noise of several sizes, tinted by a gradient."""
    texture = torch.zeros(1, 1, height, width)
    for cells, weight in ((4, 0.30), (12, 0.16), (40, 0.07)):
        grid = torch.rand(1, 1, cells, max(2, cells * width // height), generator=random) - 0.5
        texture += weight * functional.interpolate(grid, (height, width), mode="bicubic", align_corners=False)
    down = torch.linspace(0, 1, height)[:, None].expand(height, width)
    floor = ((down - 0.68) * height / 2 + 0.5).clamp(0, 1)
    boards = 0.06 * torch.sin(torch.linspace(0, 18 * math.pi, width)).expand(height, width) * floor
    shade = texture[0, 0] + boards
    wall, wood = torch.tensor([0.70, 0.72, 0.66]), torch.tensor([0.52, 0.38, 0.27])
    tint = torch.lerp(wall[:, None, None], wood[:, None, None], floor[None])
    return (tint * (1 + shade) - 0.10 * (down - 0.5)).clamp(0, 1)


def _paint(picture: Tensor, x: Tensor, y: Tensor, reach: float, draw: Drawing) -> None:
    """Paint an object over `picture`, in place; it is within `reach` of its centre, the origin of x and y."""
    pixel = 1 / picture.shape[1]
    columns, rows = ((axis.abs() <= reach + pixel).nonzero().flatten() for axis in (x, y))
    if not len(columns) or not len(rows):
        return
    part = picture[:, rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    v, u = torch.meshgrid(y[rows], x[columns], indexing="ij")
    distance, colour = draw(u, v)
    part.lerp_(colour.clamp(0, 1), (0.5 - distance / pixel).clamp(0, 1))


def _things(time: float, aspect: float, phase: list[float]) -> Iterator[Thing]:
    """Yield the centre of each object, its extent and how it is drawn."""
    yield (0.36 * aspect * math.sin(1.3 * time + 6.28 * phase[0]), 0.27), 0.15, _ball
    turn = 0.5 * time + 6.28 * phase[1]
    drift = 0.28 * aspect * math.cos(0.7 * time + 6.28 * phase[2]), 0.05 * math.sin(1.1 * time) - 0.20
    yield drift, 0.13, lambda u, v: _box(u, v, turn)
    angle = 3.1 * time + 6.28 * phase[3]
    circle = 0.2 * aspect + 0.08 * math.cos(angle), 0.06 * math.sin(2 * angle) - 0.02
    yield circle, 0.016, _moth


def _ball(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    light = (1.05 - 2.2 * ((u + 0.05) ** 2 + (v + 0.06) ** 2).sqrt()).clamp(0.25, 1.05)
    return (u * u + v * v).sqrt() - 0.15, _colour(BALL) * light


def _box(u: Tensor, v: Tensor, turn: float) -> tuple[Tensor, Tensor]:
    p, q = u * math.cos(turn) + v * math.sin(turn), v * math.cos(turn) - u * math.sin(turn)
    return torch.maximum(p.abs(), q.abs()) - 0.09, _colour(BOX) * (1 + 0.8 * q)


def _moth(u: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    return (u * u + v * v).sqrt() - 0.016, _colour(MOTH).expand(3, *u.shape)


def _colour(rgb: tuple[float, float, float]) -> Tensor:
    return torch.tensor(rgb)[:, None, None]


def write_synthetic_clip(
    path: str | Path, *, frames: int = 49, width: int = 832, height: int = 480, seed: int = 0
) -> Path:
    """Write the synthetic scene as a video; gives its absolute path."""
    from lipar.video.writer import VideoWriter  # PyAV is needed here only

    rate = Fraction(FRAME_RATE)
    with VideoWriter(path, width=width, height=height, time_base=1 / rate, frame_rate=rate) as writer:
        for frame in synthetic_clip(frames, width, height, seed):
            writer.write(frame.rgb, pts=frame.pts, duration=frame.duration)
    return writer.path
