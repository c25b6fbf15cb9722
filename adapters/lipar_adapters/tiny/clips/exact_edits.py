"""Held-out procedural clips with the exactly rendered edit of each, for ablations."""

from pathlib import Path

import numpy as np
import torch

from lipar_adapters.tiny.clips import ExactEdit
from lipar_adapters.tiny.clips.library import build_library
from lipar_adapters.tiny.clips.looks import apply_look
from lipar_adapters.tiny.clips.scenes import make_scenes, render

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


def exact_edit(index: int, *, pixel_frames: int, size: int, photos: Path | None = None) -> ExactEdit:
    """Clip number `index` of textures, shapes (and photographs, with a pack) that training does not use.

    Args:
        index: from 0; the same in every run.
        pixel_frames: length of the clip.
        size: height and width in pixels.
        photos: a pack that `tiny/clips/photos.py` made.
    """
    library = build_library("cpu", photos, textures=4, shapes=4, held_back=True, seed=1000 + index)
    zoom = (0.75 * size / 384, 1.3 * size / 384)
    scenes = make_scenes(2000 + index, 1, pixel_frames, library, zoom)
    clean = render(scenes, library, size, size)[0]
    generator = torch.Generator().manual_seed(3000 + index)
    noisy = (clean + SENSOR_NOISE * torch.randn(clean.shape, generator=generator)).clamp(0, 1)
    look, modifier = EDITS[index % len(EDITS)]
    still = bool(np.ptp(scenes[0].camera, axis=0).max() == 0)
    return ExactEdit(
        name=f"procedural-{index:02d}",
        prompt=look if modifier is None else f"{look}, {modifier}",
        pixels=noisy,
        target=apply_look(clean, look, modifier),
        kind="still camera" if still else "moving camera",
    )
