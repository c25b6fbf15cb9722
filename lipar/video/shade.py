"""Pictures of the result with the pruned tokens shaded."""

import av
import numpy as np
import numpy.typing as npt
import torch
from jaxtyping import Bool
from torch import Tensor

from lipar.video.convert import plane_view
from lipar.video.frame_sink import FrameSink

TINT = (0.10, 0.16, 0.34)
"""Colour of the shade, a dark blue, RGB in [0, 1]."""
OPACITY = 159
"""Share of the shade in a pruned place, in 256ths: .62."""


class Shade:
    """Darkens the pruned tokens of pictures, so that the computed ones stand out.

    It works on YUV at the size of the video, where it is the same blend as in RGB, since the conversion is linear. So
    a picture is scaled once for both files, and tokens have sharp borders.

    Args:
        sink: gives the size and the colour of the pictures.
    """

    def __init__(self, sink: FrameSink) -> None:
        tint = sink.picture(torch.tensor(TINT)[:, None, None].expand(3, 2, 2))
        self._tint = [int(plane_view(plane)[0, 0]) for plane in tint.planes]

    def __call__(self, picture: av.VideoFrame, keep: Bool[Tensor, "rows cols"]) -> av.VideoFrame:
        """A shaded copy of a picture.

        Args:
            picture: what `picture` of the sink returned; read-only.
            keep: on the CPU, True where a token was computed.
        """
        shaded = av.VideoFrame(picture.width, picture.height, picture.format.name)
        opacity = np.where(keep.numpy(), 0, OPACITY).astype(np.uint16)
        for source, target, tint in zip(picture.planes, shaded.planes, self._tint):
            values = plane_view(source)
            # of 16 bits, which 255 times 256 just fits; 128 rounds
            blend = values * _spread(256 - opacity, values.shape)
            blend += _spread(opacity * np.uint16(tint) + np.uint16(128), values.shape)
            blend >>= 8
            plane_view(target)[...] = blend
        shaded.colorspace, shaded.color_range = picture.colorspace, picture.color_range
        return shaded


def _spread(tokens: npt.NDArray[np.uint16], shape: tuple[int, ...]) -> npt.NDArray[np.uint16]:
    """The values of tokens at the size of a plane, each pixel that of the nearest token."""
    rows, columns = (np.arange(new) * old // new for new, old in zip(shape, tokens.shape))
    found: npt.NDArray[np.uint16] = tokens.take(columns, 1).take(rows, 0)
    return found
