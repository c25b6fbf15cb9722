"""Procedural pictures to build scenes from: textures for the ground, shaded shapes for the objects."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lipar_adapters.tiny.vocabulary import COLOURS, SHAPES

CANVAS = 384
SPRITE = 128


def noise_plane(
    rng: np.random.Generator, device: torch.device | str, size: int, octaves: tuple[int, ...]
) -> Float[Tensor, "size size"]:
    """Smooth random values about 0..1: octaves of enlarged white noise."""
    total = torch.zeros(size, size, device=device)
    for octave, cells in enumerate(octaves):
        grid = torch.from_numpy(rng.random((1, 1, cells, cells), np.float32)).to(device)
        total += F.interpolate(grid, size=(size, size), mode="bicubic")[0, 0] * 0.6**octave
    low, high = total.min(), total.max()
    return (total - low) / (high - low + 1e-6)


def palette(rng: np.random.Generator, device: torch.device | str) -> Float[Tensor, "3 3"]:
    """Three colours around one hue, from dark to light."""
    base = rng.random(3) * 0.7 + 0.1
    colours = np.stack([base * 0.35 + rng.random(3) * 0.1, base, base * 0.5 + 0.5 * rng.random(3)])
    return torch.tensor(colours.clip(0, 1), dtype=torch.float32, device=device)


def paint(plane: Float[Tensor, "size size"], colours: Float[Tensor, "3 3"]) -> Float[Tensor, "3 size size"]:
    """Colour a plane of 0..1 by a palette."""
    low = (1 - 2 * plane).clamp(0, 1)
    high = (2 * plane - 1).clamp(0, 1)
    mix = torch.stack([low, 1 - low - high, high])
    return torch.einsum("phw,pc->chw", mix, colours)


def texture(
    kind: str, rng: np.random.Generator, device: torch.device | str, size: int = CANVAS
) -> Float[Tensor, "3 size size"]:
    """A procedural picture of one of the vocabulary's scenes."""
    axis = torch.linspace(0, 1, size, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    angle, bands = rng.uniform(0, math.pi), int(rng.integers(4, 14))
    along = x * math.cos(angle) + y * math.sin(angle)
    rough = noise_plane(rng, device, size, (8, 16, 32, 64, 128))
    if kind == "stripes":
        plane = ((along * bands * math.pi * 2).sin() * 3).clamp(-1, 1) / 2 + 0.5
    elif kind == "tiles":
        u, v = (x * bands) % 1, (y * bands) % 1
        checker = ((x * bands).floor() + (y * bands).floor()) % 2
        gap = ((u - 0.5).abs().maximum((v - 0.5).abs()) > 0.46).float()
        plane = (0.35 + 0.5 * checker) * (1 - gap)
    elif kind == "wall":
        row = (y * bands).floor()
        u, v = (x * bands / 2 + row * 0.5) % 1, (y * bands) % 1
        plane = 0.75 - 0.6 * ((v < 0.1) | (u < 0.05)).float()
    elif kind == "cells":
        points = torch.from_numpy(rng.random((int(rng.integers(20, 90)), 2), np.float32)).to(device)
        apart = ((x[None] - points[:, 0, None, None]) ** 2 + (y[None] - points[:, 1, None, None]) ** 2).sqrt()
        nearest = apart.topk(2, dim=0, largest=False).values
        plane = ((nearest[1] - nearest[0]) * 14).clamp(0, 1)
    elif kind == "waves":
        bend = noise_plane(rng, device, size, (4, 8))
        plane = ((along + 0.15 * bend) * bands * math.pi * 2).sin() / 2 + 0.5
    elif kind == "landscape":
        ridge = 0.35 + 0.3 * noise_plane(rng, device, size, (4, 8, 16, 32))[size // 2]
        plane = torch.where(y < ridge[None], 0.75 + 0.25 * y, 0.15 + 0.35 * rough)
    elif kind == "gradient":
        plane = (along - along.min()) / (along.max() - along.min())
    else:
        plane = noise_plane(rng, device, size, (3, 6, 12, 24, 48))
    plane = plane * 0.8 + 0.2 * rough * float(rng.random() < 0.75)
    return paint(plane.clamp(0, 1), palette(rng, device))


def shape_mask(
    shape: str, rng: np.random.Generator, device: torch.device | str
) -> Float[Tensor, "small small"]:
    """Opacity of a shape on a sprite, soft at its rim."""
    axis = torch.linspace(-1.15, 1.15, SPRITE, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    radius, angle = (x * x + y * y).sqrt(), torch.atan2(y, x)
    inside = {
        "ball": lambda: 1 - radius,
        "box": lambda: 0.8 - x.abs().maximum(y.abs()),
        "triangle": lambda: torch.minimum(0.75 - y, 0.45 + 0.5 * y - 0.866 * x.abs() + 0.25),
        "star": lambda: 0.68 + 0.3 * (5 * angle).cos() - radius,
        "ring": lambda: 0.26 - (radius - 0.7).abs(),
        "cross": lambda: torch.minimum(0.95 - x.abs().maximum(y.abs()), 0.3 - torch.minimum(x.abs(), y.abs())),
        "diamond": lambda: 0.95 - x.abs() * 1.3 - y.abs(),
        "blob": lambda: 0.72 + sum(
            float(rng.uniform(-0.14, 0.14)) * (k * angle + float(rng.uniform(0, 6.28))).cos() for k in (2, 3, 4, 5)
        ) - radius,
    }[shape]()  # fmt: skip
    return (inside * 40 + 0.5).clamp(0, 1)


def shape_sprites(
    shape: str, colour_names: list[str], rng: np.random.Generator, device: torch.device | str
) -> Float[Tensor, "colours 4 small small"]:
    """One shape with its shading and pattern, in each of the named colours."""
    assert shape in SHAPES
    mask = shape_mask(shape, rng, device)
    axis = torch.linspace(-1, 1, SPRITE, device=device)
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    pattern = 1.0 + 0.0 * x
    kind = rng.random()
    if kind < 0.3:
        pattern = 0.75 + 0.35 * ((x * rng.uniform(4, 14) + y * rng.uniform(-6, 6)).sin() * 3).clamp(-1, 1)
    elif kind < 0.6:
        pattern = 0.65 + 0.6 * noise_plane(rng, device, SPRITE, (6, 12, 24))
    light = 1.12 - 0.35 * ((x + 0.35) ** 2 + (y + 0.4) ** 2)
    names = torch.tensor([COLOURS[name] for name in colour_names], device=device)
    painted = (names[:, :, None, None] * (pattern * light)).clamp(0, 1)
    return torch.cat([painted, mask.expand(len(names), 1, -1, -1)], 1)
