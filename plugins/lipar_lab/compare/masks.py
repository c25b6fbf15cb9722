"""Keep masks for a page: which latent frame a pixel frame belongs to, run lengths, fractions, and pixels."""

from collections.abc import Sequence
from itertools import pairwise

import attrs
import torch

from lipar.metrics.stillness import PixelMask
from lipar.types import KeepMask


@attrs.frozen(eq=False, kw_only=True)
class PageMask:
    """The mask of a run, as a script of the page reads it."""

    rows: int
    cols: int
    runs: list[list[int]]
    """For each latent frame the lengths of runs of tokens in t, h, w order, alternately kept and pruned, kept first."""
    kept: list[float]
    """Kept fraction of each latent frame, 0..1."""

    @classmethod
    def of(cls, keep_mask: KeepMask) -> "PageMask":
        """The same mask in this form.

        Args:
            keep_mask: of all latent frames that the page shows.
        """
        _, rows, cols = keep_mask.shape
        kept = keep_mask.float().mean((1, 2)).tolist()
        return cls(
            rows=rows, cols=cols, runs=[run_lengths(frame) for frame in keep_mask.flatten(1)], kept=kept
        )


def run_lengths(kept: torch.Tensor) -> list[int]:
    """Lengths of alternate runs of True and False; the first is of True and may be 0.

    Args:
        kept: one axis, boolean.
    """
    changes = (kept[1:] != kept[:-1]).nonzero().flatten() + 1
    edges = [0, *changes.tolist(), len(kept)]
    lengths = [stop - start for start, stop in pairwise(edges)]
    return lengths if bool(kept[0]) else [0, *lengths]


def latent_frame_of_each(spans: Sequence[tuple[int, int]], count: int) -> list[int]:
    """The latent frame of each of the first `count` pixel frames.

    Args:
        spans: first and last-plus-one pixel frame of each latent frame.
        count: pixel frames of the clip.
    """
    each = [index for index, (start, stop) in enumerate(spans) for _ in range(start, stop)]
    return each[:count]


def pixel_mask(keep_mask: KeepMask, latent_of: Sequence[int], size: tuple[int, int]) -> PixelMask:
    """True where a pixel's token was computed.

    Args:
        keep_mask: of all latent frames.
        latent_of: the latent frame of each pixel frame.
        size: height and width, whole numbers of tokens.
    """
    frames = keep_mask[list(latent_of)]
    for axis, side in zip((1, 2), size):
        frames = frames.repeat_interleave(side // frames.shape[axis], axis)
    return frames
