"""Conversion between a decoder's picture and an RGB tensor: scaling and colour, by swscale at its most accurate."""

from collections.abc import Sequence
from typing import Any, TypeAlias

import av
import numpy as np
import numpy.typing as npt
import torch
from av.video.reformatter import ColorRange, Interpolation, VideoReformatter
from jaxtyping import Bool, Shaped, UInt8
from torch import Tensor

from lipar.video.colour import MATRIX_CODES, Colour, yuv_to_rgb
from lipar.video.errors import VideoError

RgbBytes: TypeAlias = UInt8[Tensor, "frames 3 height width"]

# bicubic widens its filter for a smaller size, so it does not alias; the other flags gain one unit of 255 in accuracy
SCALING = int(
    Interpolation.BICUBIC
    | Interpolation.ACCURATE_RND
    | Interpolation.FULL_CHR_H_INT
    | Interpolation.FULL_CHR_H_INP
)
# swscale's own numbers of the matrices; they differ from H.273's for bt601
SWSCALE_MATRICES = {**MATRIX_CODES, "bt601": 5}


def is_rgb(frame: av.VideoFrame) -> bool:
    """Whether the planes are red, green and blue (or a palette of such)."""
    return frame.format.is_rgb or frame.format.name == "pal8"


def has_alpha(frame: av.VideoFrame) -> bool:
    """Whether a picture can be transparent in places."""
    # a palette can contain transparent colours
    return frame.format.name == "pal8" or any(part.is_alpha for part in frame.format.components)


def on_black(frame: av.VideoFrame, scaler: VideoReformatter) -> av.VideoFrame | None:
    """A picture that is transparent in places, composited on black; None if it is opaque everywhere."""
    deep = bit_depth(frame) > 8
    planes = scaler.reformat(
        frame,
        format="gbrap16le" if deep else "gbrap",
        interpolation=SCALING,
        dst_color_range=ColorRange.JPEG,
        threads=1,
    )
    *colours, alpha = read_planes(planes, (0, 1, 2, 3)).to(torch.float32)
    top = 65535 if deep else 255
    if bool((alpha == top).all()):
        return None
    shown = av.VideoFrame(frame.width, frame.height, "gbrp16le" if deep else "gbrp")
    for plane, colour in zip(shown.planes, colours):
        plane_view(plane, 16 if deep else 8)[...] = (colour * alpha / top).round_().numpy()
    shown.pts, shown.time_base = frame.pts, frame.time_base
    return shown


def plane_view(plane: av.video.plane.VideoPlane, bits: int = 8) -> npt.NDArray[Any]:
    """The samples of a plane, `rows columns`, without a copy: writing to them changes the picture.

    Args:
        plane: with one sample per pixel.
        bits: of a sample in memory, 8 or 16.
    """
    dtype = np.dtype("u1") if bits == 8 else np.dtype("<u2")
    lines = np.frombuffer(memoryview(plane), dtype).reshape(-1, plane.line_size // dtype.itemsize)
    return lines[: plane.height, : plane.width]


def bit_depth(frame: av.VideoFrame) -> int:
    """Bits of the deepest component; 8 for packed and palette formats of fewer."""
    return max(8, *(component.bits for component in frame.format.components))


def read_planes(frame: av.VideoFrame, order: Sequence[int]) -> Tensor:
    """Copy planes of one size into a tensor `c h w`; 16-bit samples come as int32."""
    wide = bit_depth(frame) > 8
    stacked = np.stack([plane_view(frame.planes[i], 16 if wide else 8) for i in order])
    return torch.from_numpy(stacked.astype(np.int32) if wide else stacked)


def set_colour(frame: av.VideoFrame, colour: Colour) -> None:
    """Set the matrix and range that swscale reads a picture with, since the file may not give them."""
    rgb = is_rgb(frame)
    frame.colorspace = MATRIX_CODES["rgb" if rgb else colour.matrix]
    frame.color_range = ColorRange.JPEG if rgb or colour.full_range else ColorRange.MPEG


def frame_to_rgb(
    frame: av.VideoFrame, colour: Colour, size: tuple[int, int], scaler: VideoReformatter
) -> Tensor:
    """Give RGB `3 h w` at `size` (width, height): uint8 from 8-bit pictures, else float32 in 0..1."""
    width, height = size
    depth = bit_depth(frame)
    set_colour(frame, colour)

    def scaled(format_name: str, colour_range: int) -> av.VideoFrame:
        return scaler.reformat(
            frame, width, height, format_name, interpolation=SCALING, dst_color_range=colour_range, threads=1
        )

    if depth == 8:
        return read_planes(scaled("gbrp", ColorRange.JPEG), (2, 0, 1))
    if is_rgb(frame):
        return read_planes(scaled("gbrp16le", ColorRange.JPEG), (2, 0, 1)).to(torch.float32) / 65535
    # swscale's YUV -> RGB for more than 8 bits is off by up to a unit of 255: it only scales, the matrix is applied
    # here
    depth = next(known for known in (9, 10, 12, 14, 16) if known >= depth) if depth <= 16 else 16
    yuv = scaled(f"yuv444p{depth}le", frame.color_range)
    return yuv_to_rgb(read_planes(yuv, (0, 1, 2)), colour, depth)


def to_bytes(frames: Shaped[Tensor, "frames 3 height width"], first: int = 0) -> RgbBytes:
    """Frames as they are written: uint8 on the CPU. Floating point is rounded, after a check.

    Args:
        frames: RGB on any device, uint8 0..255 or floating point 0..1 (clamped).
        first: index of the first of them in the video, for the message.

    Raises:
        VideoError: a frame holds NaN or infinity, or numbers of another kind.
    """
    rounded, finite = begin_bytes(frames)
    check_finite(finite.cpu(), first)
    return rounded.cpu()


def begin_bytes(
    frames: Shaped[Tensor, "frames 3 height width"],
) -> tuple[RgbBytes, Bool[Tensor, " frames"]]:
    """Frames as bytes, and which of them are finite, on their device; the host does not wait for it.

    Args:
        frames: as for `to_bytes`.

    Raises:
        VideoError: numbers of another kind.
    """
    frames = frames.detach()
    if frames.dtype == torch.uint8:
        return frames, torch.ones(len(frames), dtype=torch.bool, device=frames.device)
    if not frames.is_floating_point():
        raise VideoError(f"a frame must be uint8 0..255 or floating point 0..1, got {frames.dtype}")
    # NaN goes through both; this takes a fifteenth of the time of `isfinite` on every number
    finite = frames.amin((1, 2, 3)).isfinite() & frames.amax((1, 2, 3)).isfinite()
    return frames.to(torch.float32).clamp(0, 1).mul_(255).round_().to(torch.uint8), finite


def check_finite(finite: Bool[Tensor, " frames"], first: int) -> None:
    """Refuse frames of which one is not finite.

    Args:
        finite: of each frame, on the CPU.
        first: index of the first of them in the video, for the message.

    Raises:
        VideoError: a frame holds NaN or infinity.
    """
    if not bool(finite.all()):
        raise VideoError(
            f"frame {first + int(finite.int().argmin())} holds NaN or infinity: the model's numbers overflowed; "
            "try float32, or another seed or strength"
        )


def rgb_to_frame(
    rgb: Tensor, colour: Colour, size: tuple[int, int], pixel_format: str, scaler: VideoReformatter
) -> av.VideoFrame:
    """Give the YUV picture of `size` (width, height) for RGB bytes `3 h w` of any size.

    swscale scales while it converts. At 1280x720 from 336x192 that takes .7 ms; bicubic interpolation of floating
    point RGB before the conversion takes 40 times as long, and the two differ by 56 dB.
    """
    _, height, width = rgb.shape
    planar = av.VideoFrame(width, height, "gbrp")
    for plane, channel in zip(planar.planes, (1, 2, 0)):
        plane_view(plane)[...] = rgb[channel].numpy()
    planar.colorspace = MATRIX_CODES["rgb"]
    planar.color_range = ColorRange.JPEG
    return scaler.reformat(
        planar,
        *size,
        pixel_format,
        dst_colorspace=SWSCALE_MATRICES[colour.matrix],
        interpolation=SCALING,
        dst_color_range=ColorRange.JPEG if colour.full_range else ColorRange.MPEG,
        threads=1,
    )
