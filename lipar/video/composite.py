"""An edit inside a mask, and the source outside."""

import av
import numpy as np
import numpy.typing as npt
from torch import Tensor

from lipar.video.convert import is_rgb, plane_view
from lipar.video.errors import VideoError
from lipar.video.frame_sink import FrameSink
from lipar.video.mask_picture import OPAQUE, MaskPicture

BLENDED = ("yuv420p", "yuv444p", "gbrp", "gray")
"""Pixel formats that can be composited, by ffmpeg's name: planes of bytes, of the size of the picture or half of it."""
EDGE = 235
"""Brightness of the line along a mask's border."""


def check_blended(pixel_format: str) -> None:
    """Refuse pictures that cannot be composited.

    Args:
        pixel_format: of a sink, by ffmpeg's name.

    Raises:
        VideoError: it is none of `BLENDED`.
    """
    if pixel_format not in BLENDED:
        raise VideoError(
            f"a mask cannot be applied to pixels of {pixel_format}; take rgb24 or yuv420p for --raw-output"
        )


def composite(source: av.VideoFrame, edited: av.VideoFrame, mask: MaskPicture) -> av.VideoFrame:
    """A picture that shows the edit where the mask is white, and the source, unchanged, where it is black.

    Args:
        source: planar with 8 bits, as `picture` of a sink gives it; read-only.
        edited: likewise, of the same size and colour.
        mask: of that size.
    """
    shown = av.VideoFrame(edited.width, edited.height, edited.format.name)
    for before, after, target in zip(source.planes, edited.planes, shown.planes, strict=True):
        below = plane_view(before)
        plane_view(target)[...] = _blend(below, plane_view(after), _share(mask, below.shape))
    shown.colorspace, shown.color_range = edited.colorspace, edited.color_range
    return shown


def picture_inside(sink: FrameSink, rgb: Tensor, outside: tuple[Tensor, MaskPicture] | None) -> av.VideoFrame:
    """A picture of an edit as a sink writes it, with the source outside a mask.

    Args:
        sink: scales the edit and the source.
        rgb: the edit, `3 h w`.
        outside: the source, likewise, and the mask at the size of the sink; None: the edit is shown everywhere.
    """
    picture = sink.picture(rgb)
    return picture if outside is None else composite(sink.picture(outside[0]), picture, outside[1])


def with_edge(picture: av.VideoFrame, mask: MaskPicture) -> av.VideoFrame:
    """A copy of a picture with a bright line along the border of a mask.

    Args:
        picture: as for `composite`.
        mask: of its size.
    """
    shown = av.VideoFrame(picture.width, picture.height, picture.format.name)
    for index, (before, target) in enumerate(zip(picture.planes, shown.planes, strict=True)):
        values = plane_view(target)
        values[...] = plane_view(before)
        if index == 0 or is_rgb(picture):  # brightness alone shows on every colour
            values[mask.edge > 0] = EDGE
    shown.colorspace, shown.color_range = picture.colorspace, picture.color_range
    return shown


def _share(mask: MaskPicture, shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    return mask.share if mask.share.shape == shape else mask.half_share


def _blend(
    below: npt.NDArray[np.uint8], above: npt.NDArray[np.uint8], share: npt.NDArray[np.uint16]
) -> npt.NDArray[np.uint16]:
    # of 16 bits, which 255 times 256 just fits; 128 rounds, and shares of 0 and 256 give either value as it is
    blend = below * (np.uint16(OPAQUE) - share)
    blend += above * share
    blend += np.uint16(128)
    blend >>= 8
    return blend
