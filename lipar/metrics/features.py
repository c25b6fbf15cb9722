"""What of a picture is compared from frame to frame: features, each with a name that its figures carry."""

import math
from typing import Protocol, runtime_checkable

import attrs
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lipar.metrics.stillness import PixelClip

Region = Bool[Tensor, "height width"]
Vectors = Float[Tensor, "pixel_frames d"]


@runtime_checkable
class Feature(Protocol):
    """Gives a vector for each frame; the cosine of two is how alike the frames are."""

    @property
    def name(self) -> str:
        """Stands in the label of each figure that is made with it."""

    def __call__(self, clip: PixelClip, region: Region) -> Vectors:
        """One vector for each frame.

        Args:
            clip: pixels in [0, 1].
            region: True where the picture counts; the same in all frames. What lies outside must not matter.
        """


@attrs.frozen(kw_only=True)
class ColourGradientGrid:
    """Mean colour and histogram of gradients of each cell of a grid. It needs no weights and knows no objects.

    The histograms are those of HOG (Dalal and Triggs 2005): unsigned orientation in bins, weighted by the gradient's
    size, with linear interpolation between bins. Less the mean of a cell's bins: gradients without a direction, as
    noise has them, would otherwise make all frames alike. The whole vector of gradients has length 1, and so has that
    of colours (less middle grey), so that both count the same.
    """

    cells: int = attrs.field(default=8, validator=attrs.validators.ge(1))
    """Cells of a row and of a column."""
    bins: int = attrs.field(default=9, validator=attrs.validators.ge(2))
    """Orientations from 0 to 180 degrees."""

    @property
    def name(self) -> str:
        """With the size of the grid."""
        return f"colour and gradient grid {self.cells}x{self.cells}"

    def __call__(self, clip: PixelClip, region: Region) -> Vectors:
        """One vector for each frame, as described above.

        Args:
            clip: pixels in [0, 1].
            region: True where pixels count.
        """
        rows = [self._frame(frame.float(), region) for frame in clip]
        return torch.stack(rows)

    def _frame(self, frame: Float[Tensor, "3 height width"], region: Region) -> Float[Tensor, " d"]:
        inside = region.to(frame.dtype)
        histogram = self._cells(self._orientations(frame, region))
        histogram = histogram - histogram.mean(0, keepdim=True)
        colours = self._cells((frame - 0.5) * inside)
        return torch.cat([F.normalize(part.flatten(), dim=0) for part in (histogram, colours)])

    def _cells(self, values: Float[Tensor, "channels height width"]) -> Float[Tensor, "channels rows cols"]:
        return F.adaptive_avg_pool2d(values, self.cells)

    def _orientations(
        self, frame: Float[Tensor, "3 height width"], region: Region
    ) -> Float[Tensor, "bins height width"]:
        """Size of the gradient of luma in each bin of its orientation; 0 where it reaches outside of the region."""
        luma = (frame * frame.new_tensor([0.299, 0.587, 0.114]).view(3, 1, 1)).sum(0)
        padded = F.pad(luma[None, None], (1, 1, 1, 1), mode="replicate")[0, 0]
        across, down = padded[1:-1, 2:] - padded[1:-1, :-2], padded[2:, 1:-1] - padded[:-2, 1:-1]
        inner = -F.max_pool2d(-region.to(frame.dtype)[None], 3, 1, 1)[0]  # all neighbours lie inside
        size = (across.square() + down.square()).sqrt() * inner
        place = torch.atan2(down, across) / math.pi % 1 * self.bins
        low = place.floor()
        part = place - low
        histogram = frame.new_zeros(self.bins, *luma.shape)
        histogram.scatter_add_(0, (low.long() % self.bins)[None], (size * (1 - part))[None])
        histogram.scatter_add_(0, ((low.long() + 1) % self.bins)[None], (size * part)[None])
        return histogram
