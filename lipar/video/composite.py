"""An edit inside a mask, and the source outside."""

import av
import numpy as np
import numpy.typing as npt

from lipar.video.convert import plane_view
from lipar.video.mask_picture import OPAQUE, MaskPicture


def composite(source: av.VideoFrame, edited: av.VideoFrame, mask: MaskPicture) -> av.VideoFrame:
    """A picture that shows the edit where the mask is white, and the source, unchanged, where it is black.

    Args:
        source: planar YUV with 8 bits, as `VideoWriter.picture` gives it; read-only.
        edited: likewise, of the same size and colour.
        mask: of that size.
    """
    shown = av.VideoFrame(edited.width, edited.height, edited.format.name)
    for before, after, target in zip(source.planes, edited.planes, shown.planes, strict=True):
        below = plane_view(before)
        plane_view(target)[...] = _blend(below, plane_view(after), _share(mask, below.shape))
    shown.colorspace, shown.color_range = edited.colorspace, edited.color_range
    return shown


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
        if index == 0:  # brightness alone shows on every colour
            values[mask.edge > 0] = 235
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
