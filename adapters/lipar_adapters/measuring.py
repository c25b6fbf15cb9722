"""What only the laboratory measures with, loaded when it is called: importing this module loads nothing heavy."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

    from lipar_adapters.taef2 import Taef2
    from lipar_adapters.vision import VisionFeature


def load_taef2(folder: Path, device: "torch.device") -> "Taef2":
    """TAEF2, an autoencoder of single frames; see `lipar_adapters.taef2.Taef2.load`.

    Args:
        folder: of its two files.
        device: where it runs.
    """
    from lipar_adapters.taef2 import Taef2

    return Taef2.load(folder, device)


def load_vision_feature(folder: Path) -> "VisionFeature":
    """A feature for consistency figures; see `lipar_adapters.vision.load_vision_feature`.

    Args:
        folder: of a vision model of transformers.
    """
    from lipar_adapters import vision

    return vision.load_vision_feature(folder)
