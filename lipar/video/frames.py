"""A pixel frame with its time, and how a stored picture is turned to be shown."""

from fractions import Fraction

import attrs
import torch
from torch import Tensor

from lipar.video.mask_picture import MaskPicture


@attrs.frozen(kw_only=True, eq=False)
class PixelFrame:
    """One picture as a player shows it: upright, square pixels, RGB.

    Attributes:
        rgb: `c h w`; uint8 0..255 from 8-bit video, float32 0..1 from deeper video.
        pts: when it is shown, in ticks of `time_base`.
        duration: how long it is shown, in ticks of `time_base`.
        time_base: seconds per tick.
        index: 0 for the first frame of the video.
        original: the same picture as it is in the file, where `rgb` was scaled and the original is asked for; else
            None.
        may_change: which of its pixels an edit may change, at the size of `shown`; None: all.
    """

    rgb: Tensor
    pts: int
    duration: int
    time_base: Fraction
    index: int
    original: Tensor | None = None
    may_change: MaskPicture | None = None

    @property
    def shown(self) -> Tensor:
        """The original where there is one, else `rgb`."""
        return self.rgb if self.original is None else self.original

    @property
    def time(self) -> Fraction:
        """When it is shown, in seconds."""
        return self.pts * self.time_base

    def unit(self) -> Tensor:
        """RGB `c h w` as float32 in 0..1, whatever the depth of the video."""
        return self.rgb.to(torch.float32) / 255 if self.rgb.dtype == torch.uint8 else self.rgb


@attrs.frozen
class Orientation:
    """One of the eight orientations of a picture: it is transposed first, then flipped."""

    transposed: bool = False
    flip_horizontal: bool = False
    flip_vertical: bool = False

    @classmethod
    def from_display_matrix(cls, matrix: tuple[int, ...]) -> "Orientation":
        """Read the nine numbers of a display matrix; other angles are rounded to the nearest right angle.

        A stored point (p, q) is shown at (a p + c q, b p + d q), y pointing down: libavutil/display.h.
        """
        a, b, _, c, d = matrix[:5]
        if abs(b) + abs(c) > abs(a) + abs(d):
            return cls(transposed=True, flip_horizontal=c < 0, flip_vertical=b < 0)
        return cls(flip_horizontal=a < 0, flip_vertical=d < 0)

    @classmethod
    def turned(cls, degrees: int) -> "Orientation":
        """The rotation by `degrees` clockwise, rounded to the nearest right angle."""
        quarters = round(degrees / 90) % 4
        return cls(
            transposed=quarters % 2 == 1, flip_horizontal=quarters in (1, 2), flip_vertical=quarters in (2, 3)
        )

    @property
    def rotation(self) -> int:
        """Degrees clockwise by which the stored picture is turned (before it is mirrored, if it is)."""
        if self.transposed:
            return 90 if self.flip_horizontal else 270
        return 180 if self.flip_vertical else 0

    @property
    def mirrored(self) -> bool:
        """Whether left and right are swapped, beyond the rotation."""
        return self.transposed ^ self.flip_horizontal ^ self.flip_vertical

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after turning; the same swap undoes it."""
        return (height, width) if self.transposed else (width, height)

    def apply(self, rgb: Tensor) -> Tensor:
        """Turn a picture `c h w`."""
        if self.transposed:
            rgb = rgb.transpose(-2, -1)
        flipped = [axis for axis, flip in ((-1, self.flip_horizontal), (-2, self.flip_vertical)) if flip]
        return (rgb.flip(flipped) if flipped else rgb).contiguous()


def even(size: float) -> int:
    """The even number nearest to a scaled size, since 4:2:0 video has no odd sizes."""
    return max(2, 2 * round(size / 2))


def square_pixels(width: int, height: int, sample_aspect_ratio: Fraction) -> tuple[int, int]:
    """The size with square pixels: the shorter direction is enlarged, none is reduced.

    Args:
        width: in stored pixels.
        height: in stored pixels.
        sample_aspect_ratio: width of a stored pixel over its height.
    """
    if sample_aspect_ratio > 1:
        return even(float(width * sample_aspect_ratio)), height
    if sample_aspect_ratio < 1:
        return width, even(float(height / sample_aspect_ratio))
    return width, height
