"""Frames of a camera or a program as pictures of the size that a session processes, and pictures with an overlay."""

from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
import torch
from av.video.reformatter import VideoReformatter
from jaxtyping import UInt8
from torch import Tensor

from lipar.bounds import shown
from lipar.live.block import Pictures
from lipar.types import KeepMask
from lipar.video.colour import MATRIX_NAMES, Colour
from lipar.video.convert import frame_to_rgb, is_rgb
from lipar.video.shade import OPACITY, TINT
from lipar.video.sources.scaled import RGB

Frame: TypeAlias = "av.VideoFrame | npt.NDArray[np.uint8] | Tensor"
"""A picture of any size: as PyAV gives it, or RGB bytes `height width 3`."""


def checked(frame: Any) -> "av.VideoFrame | npt.NDArray[np.uint8]":
    """A frame as it may wait for its block; not copied.

    Raises:
        TypeError: it is none of the kinds of `Frame`.
        ValueError: it has other axes than `height width 3`, or none of some.
    """
    if isinstance(frame, av.VideoFrame):
        return frame
    if isinstance(frame, Tensor):
        frame = frame.detach().cpu().numpy()
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        came = f"{type(frame).__name__} of {frame.dtype}" if hasattr(frame, "dtype") else type(frame).__name__
        raise TypeError(f"a frame is an av.VideoFrame, or uint8 `height width 3`; got {came}")
    if frame.ndim != 3 or frame.shape[2] != 3 or not frame.size:
        raise ValueError(f"a frame is RGB, uint8 `height width 3`; got {shown(frame.shape)}")
    return frame


class Fit:
    """Scales frames to a size that they cover, and crops what is outside at both sides alike.

    Args:
        size: width and height.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size
        self._scaler = VideoReformatter()

    def __call__(self, frame: "av.VideoFrame | npt.NDArray[np.uint8]") -> UInt8[Tensor, "3 height width"]:
        """A picture of the size.

        Args:
            frame: what `checked` gave. YUV without a matrix is read as BT.601, which is what browsers send.
        """
        width, height = self.size
        if isinstance(frame, np.ndarray):
            if frame.shape[:2] == (height, width):
                return torch.from_numpy(np.array(frame)).permute(2, 0, 1)
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")
        scale = max(width / frame.width, height / frame.height)
        covering = (max(width, round(frame.width * scale)), max(height, round(frame.height * scale)))
        rgb = frame_to_rgb(frame, _colour(frame), covering, self._scaler)
        left, top = ((whole - part) // 2 for whole, part in zip(covering, self.size))
        rgb = rgb[:, top : top + height, left : left + width]
        if rgb.dtype != torch.uint8:
            rgb = rgb.clamp(0, 1).mul(255).round().to(torch.uint8)
        return rgb.contiguous()


def _colour(frame: av.VideoFrame) -> Colour:
    if is_rgb(frame):
        return RGB
    matrix = MATRIX_NAMES.get(int(frame.colorspace), "bt601")
    return Colour(matrix="bt601" if matrix == "rgb" else matrix, full_range=int(frame.color_range) == 2)


def as_pictures(frames: UInt8[Tensor, "frames 3 height width"]) -> Pictures:
    """Frames with the channels last, on the host."""
    return np.ascontiguousarray(frames.permute(0, 2, 3, 1).cpu().numpy())


def shaded(pictures: Pictures, keep: KeepMask) -> Pictures:
    """Pictures that are darkened where a token was not computed, as `lipar edit --overlay` does.

    Args:
        pictures: not changed.
        keep: of each picture, on the CPU.
    """
    _, height, width, _ = pictures.shape
    _, rows, cols = keep.shape
    mask = keep.numpy()[:, np.arange(height) * rows // height][:, :, np.arange(width) * cols // width]
    opacity = np.where(mask, 0, OPACITY).astype(np.uint16)[..., None]
    tint = np.rint(255 * np.array(TINT)).astype(np.uint16)
    blend = pictures * (256 - opacity) + opacity * tint + np.uint16(128)
    shades: Pictures = (blend >> 8).astype(np.uint8)
    return shades
