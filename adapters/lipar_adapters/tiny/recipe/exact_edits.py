"""Held-back procedural clips with the exactly rendered edit of each, for ablations."""

from pathlib import Path

import numpy as np
import torch

from lipar_adapters.tiny.recipe.library import build_library
from lipar_adapters.tiny.recipe.looks import apply_look
from lipar_adapters.tiny.recipe.scenes import make_scenes, render
from lipar_lab.ablation.clips import AblationClip

EDITS: tuple[tuple[str, str | None], ...] = (
    ("pencil sketch", None),
    ("oil painting", "warm colours"),
    ("night", None),
    ("snow", None),
    ("watercolour", None),
    ("neon", None),
    ("sepia", None),
    ("cartoon", None),
    ("underwater", None),
    ("vintage", None),
    ("autumn", None),
    ("photo", "dark"),
)
"""Look and modifier; they rotate over clips."""
SENSOR_NOISE = 1 / 255
"""Standard deviation on the source, so that still places are as still as a camera's, not equal."""


def exact_edit(index: int, *, pixel_frames: int, size: int, photos: Path | None = None) -> AblationClip:
    """Clip number `index` of textures, shapes (and photographs, with a pack) that training does not use."""
    library = build_library("cpu", photos, textures=4, shapes=4, held_back=True, seed=1000 + index)
    zoom = (0.75 * size / 384, 1.3 * size / 384)
    scenes = make_scenes(2000 + index, 1, pixel_frames, library, zoom)
    clean = render(scenes, library, size, size)[0]
    generator = torch.Generator().manual_seed(3000 + index)
    noisy = (clean + SENSOR_NOISE * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    look, modifier = EDITS[index % len(EDITS)]
    still = bool(np.ptp(scenes[0].camera, axis=0).max() == 0)
    return AblationClip(
        name=f"procedural-{index:02d}",
        prompt=look if modifier is None else f"{look}, {modifier}",
        pixels=noisy,
        target=apply_look(clean, look, modifier),
        kind="still camera" if still else "moving camera",
    )
