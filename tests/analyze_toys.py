"""A small analysis on the toy autoencoder, for the tests of `lipar analyze`."""

from pathlib import Path
from typing import Any

import torch

from lipar.metrics.table import METRICS
from lipar.testing.toy import ToyAutoencoder
from lipar.video import write_synthetic_clip
from lipar_lab.analyze.clip import Experiments
from lipar_lab.analyze.coding import Coder
from lipar_lab.analyze.run import Analysis
from lipar_lab.analyze.sweep import Bound


def toy_coder(**changes: Any) -> Coder:
    """Patches of 8 frames and 8x8 pixels, pictures of about 32x24."""
    values: dict[str, Any] = {
        "name": "a toy",
        "autoencoder": ToyAutoencoder(),
        "device": torch.device("cpu"),
        "pixels": 32 * 24,
        "frames": 40,
    }
    return Coder(**{**values, **changes})


def toy_analysis(**depends_on: Any) -> Analysis:
    """PSNR only, at four thetas."""
    return Analysis(
        coder=toy_coder(),
        experiments=Experiments(thetas=(0.0, 0.05, 0.2, 100.0), metrics=("psnr",), table=METRICS),
        bounds=(Bound(metric="psnr", value=30.0, better="higher"),),
        depends_on={"weights": "toy", **depends_on},
        made_with={"machine": "of a test"},
    )


def clip_file(folder: Path, name: str = "clip.mp4", frames: int = 32) -> Path:
    """A generated clip of 64x48."""
    path = folder / name
    write_synthetic_clip(path, frames=frames, width=64, height=48)
    return path
