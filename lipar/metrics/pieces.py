"""Figures of clips that are the mean of a figure of their frames, computed in pieces that fit into memory."""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor

from lipar.metrics.stillness import PixelClip

OtherClip = Float[Tensor, "other_frames 3 other_height other_width"]
"""A clip that is compared with another: that they have one size is checked, with a message."""

PIXELS_AT_ONCE = 1 << 21
"""Pixels of one clip in a piece: a frame of 1080p. SSIM needs about 0.5 GB for that many."""


def pieces(clip: PixelClip, pixels_at_once: int = PIXELS_AT_ONCE) -> Iterator[slice]:
    """Ranges of frames, in order, of as many frames as fit, and at least one.

    Args:
        clip: its size is read.
        pixels_at_once: pixels of a piece.
    """
    height, width = clip.shape[-2:]
    frames = max(1, pixels_at_once // (height * width))
    for first in range(0, len(clip), frames):
        yield slice(first, min(first + frames, len(clip)))


def mean_over_frames(
    measure: Callable[[PixelClip, PixelClip], Float[Tensor, " pixel_frames"]], a: PixelClip, b: OtherClip
) -> float:
    """Mean over frames of a figure of two pictures.

    Args:
        measure: the figure of each frame of a piece.
        a: one clip.
        b: another of the same size.

    Raises:
        ValueError: they differ in size, or have no frame.
    """
    check_same_size(a, b)
    with torch.inference_mode():
        values = [measure(a[piece], b[piece]).double() for piece in pieces(a)]
    return float(torch.cat(values).mean())


def check_same_size(a: Tensor, b: Tensor) -> None:
    """Two clips can be compared.

    Args:
        a: one clip.
        b: another.

    Raises:
        ValueError: they differ in size, or have no frame.
    """
    if a.shape != b.shape:
        raise ValueError(
            f"clips that are compared must have one size; got {list(a.shape)} and {list(b.shape)} "
            "(frames, channels, height, width): cut or scale one of them"
        )
    if len(a) == 0:
        raise ValueError("clips that are compared must have a frame; got none")


def check_smallest(clip: PixelClip, smallest: int, what: str, reason: str) -> None:
    """A picture is large enough for a figure.

    Args:
        clip: its size is read.
        smallest: shortest side that is defined, in pixels.
        what: name of the figure, as the beginning of a sentence.
        reason: why it needs this size.

    Raises:
        ValueError: a side is shorter.
    """
    height, width = clip.shape[-2:]
    if min(height, width) < smallest:
        raise ValueError(
            f"{what} needs pictures of {smallest} pixels or more a side, {reason}; got {width}x{height}"
        )
