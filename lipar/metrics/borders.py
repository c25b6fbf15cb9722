"""Errors at the edges of a mask, where computed and copied pixels meet.

A seam is an edge that the dense result does not have. So the gradients of the two results are compared, at pairs of
neighbouring pixels. A difference of brightness that is the same on both sides of a mask's edge is no seam.
"""

import attrs
import torch
from jaxtyping import Bool
from torch import Tensor

from lipar.metrics.pieces import OtherClip, check_same_size
from lipar.metrics.stillness import PixelClip

OtherMask = Bool[Tensor, "mask_frames mask_height mask_width"]


@attrs.frozen(kw_only=True)
class BorderError:
    """Mean absolute difference of the gradients of two clips, in levels of 255."""

    at_borders: float
    """At pairs of neighbours of which one was kept and one pruned."""
    elsewhere: float | None
    """At all other pairs; None where there is none."""

    @property
    def ratio(self) -> float | None:
        """How much larger the error is at borders, 1: as everywhere; None where there is no error to compare with."""
        return self.at_borders / self.elsewhere if self.elsewhere else None


def border_error(result: PixelClip, dense: OtherClip, keep: OtherMask) -> BorderError | None:
    """The error of a result's gradients where kept and pruned pixels meet, and elsewhere; None without a border.

    For each pair of neighbours p, q in a row or a column: |(result_p - result_q) - (dense_p - dense_q)|, mean over RGB.
    This is a definition of lipar's own; no paper's figure is meant.

    Args:
        result: pixels in [0, 1] of the pruned run.
        dense: of the run with every token kept.
        keep: True where the pixel's token was computed.

    Raises:
        ValueError: the clips or the mask differ in size.
    """
    check_same_size(result, dense)
    if keep.shape != result[:, 0].shape:
        raise ValueError(
            f"a mask has a value for each pixel, {list(result[:, 0].shape)} (frames, height, width); "
            f"got {list(keep.shape)}"
        )
    sums, counts = [0.0, 0.0], [0, 0]
    for dim in (-1, -2):
        for frame in range(len(result)):
            size = (result[frame].diff(dim=dim) - dense[frame].diff(dim=dim)).abs().mean(0).double()
            border = _differs(keep[frame], dim)
            for index, where in enumerate((border, ~border)):
                sums[index] += float(size[where].sum())
                counts[index] += int(where.sum())
    if not counts[0]:
        return None
    means = [255 * total / count if count else None for total, count in zip(sums, counts)]
    assert means[0] is not None
    return BorderError(at_borders=means[0], elsewhere=means[1])


def _differs(keep: Bool[Tensor, "height width"], dim: int) -> Bool[Tensor, "one_height one_width"]:
    size = keep.shape[dim] - 1
    return torch.logical_xor(keep.narrow(dim, 0, size), keep.narrow(dim, 1, size))
