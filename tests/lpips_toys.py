"""Made-up weights of LPIPS in the formats of the published files."""

from pathlib import Path

import torch
from torch import Tensor

from lipar.metrics.lpips import BACKBONE_SHAPES, HEAD_SHAPES


def made_up(shapes: dict[str, tuple[int, ...]], seed: int) -> dict[str, Tensor]:
    """Weights of a size with which values neither vanish nor grow from layer to layer."""
    draw = torch.Generator().manual_seed(seed)
    found = {}
    for key, shape in shapes.items():
        inputs = shape[1] * shape[2] * shape[3] if len(shape) == 4 else 100
        found[key] = torch.randn(shape, generator=draw) * (2 / inputs) ** 0.5
    return found


def made_up_backbone() -> dict[str, Tensor]:
    """Torchvision's file holds the classifier as well."""
    return made_up(BACKBONE_SHAPES, 0) | {"classifier.1.weight": torch.zeros(2, 2)}


def made_up_heads() -> dict[str, Tensor]:
    """Never negative, as the learned ones."""
    return {key: value.abs() for key, value in made_up(HEAD_SHAPES, 1).items()}


def write_lpips_files(folder: Path) -> tuple[Path, Path]:
    """Files of a backbone and of heads."""
    paths = folder / "alexnet.pth", folder / "alex.pth"
    torch.save(made_up_backbone(), paths[0])
    torch.save(made_up_heads(), paths[1])
    return paths
