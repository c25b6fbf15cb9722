"""Clips as one picture: one row per clip, columns at the same times."""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

GAP = 4
"""Pixels of white between two pictures."""


def contact_sheet(
    clips: Sequence[Float[Tensor, "_ 3 _ _"]], columns: int = 6
) -> Float[Tensor, "3 sheet_height sheet_width"]:
    """Frames of clips of one size and length, evenly spread from the first to the last.

    Args:
        clips: RGB in [0, 1].
        columns: number of frames of each clip, at most; all of a shorter clip.

    Raises:
        ValueError: there is no clip, or they differ in size or length.
    """
    shapes = {tuple(clip.shape) for clip in clips}
    if len(shapes) != 1:
        came = ", ".join(map(str, sorted(shapes))) or "none"
        raise ValueError(f"a contact sheet needs clips of one size and length, got {came}")
    frames, _, height, width = shapes.pop()
    moments = torch.linspace(0, frames - 1, min(columns, frames)).round().long().tolist()
    sheet = torch.ones(3, len(clips) * (height + GAP) - GAP, len(moments) * (width + GAP) - GAP)
    for row, clip in enumerate(clips):
        for column, moment in enumerate(moments):
            top, left = row * (height + GAP), column * (width + GAP)
            sheet[:, top : top + height, left : left + width] = clip[moment].float().cpu().clamp(0, 1)
    return sheet


def write_contact_sheet(path: Path, clips: Sequence[Float[Tensor, "_ 3 _ _"]], columns: int = 6) -> None:
    """Write a contact sheet as a picture file; the extension of its name decides the format."""
    from PIL import Image

    sheet = (255 * contact_sheet(clips, columns)).round().to(torch.uint8)
    Image.fromarray(sheet.permute(1, 2, 0).numpy()).save(path)
