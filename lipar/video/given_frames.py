"""A video in any form that a user may have, as pixel frames in [0, 1]; ambiguous input is refused.

Pictures, arrays and tensors are read as diffusers' `VideoProcessor` reads them (floats are in [0, 1], an array has its
channels last, a tensor first). Input that it accepts and misreads is recognised or refused.
"""

import os
from collections.abc import Iterator
from typing import Any, TypeAlias

import numpy as np
import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

PixelVideo: TypeAlias = Float[Tensor, "frames 3 height width"]
"""RGB in [0, 1]."""

FORMS = (
    "a path; a list of PIL pictures, arrays `height width 3` or tensors `3 height width`; an array "
    "`frames height width 3`; or a tensor `frames 3 height width`"
)
_CHANNELS = {1: "grey", 3: "RGB", 4: "RGBA"}
SLACK = 1e-4
"""How far outside [0, 1] a value may be by rounding; it is clamped."""


def pixel_frames(video: Any) -> PixelVideo:
    """Read a video as float32. The same pixels give the same values, bit for bit, in every form.

    Args:
        video: a path; a PIL picture, an array or a tensor for each frame, in a list; or all frames in one array or
            tensor. An axis of length 1 may stand before the frames. Grey counts as RGB, and so does RGBA without a
            transparent pixel. Numbers are floats in [0, 1] or uint8.

    Raises:
        TypeError: an object of another kind.
        ValueError: no frame, or several videos; frames of several sizes; a shape, type, range or colour mode that is
            ambiguous; a file that cannot be read (then a `VideoError`).
    """
    if isinstance(video, str | os.PathLike):
        return _read_file(video)
    frames: list[Tensor] = []
    for index, given in enumerate(_each(video)):
        frame = _rgb(given, index)
        if frames and frame.shape != frames[0].shape:
            raise ValueError(
                f"frames of one size are needed; frame 0 is {_size(frames[0])} pixels, frame {index} {_size(frame)}: "
                "scale or crop them first"
            )
        frames.append(frame.to(frames[0].device) if frames else frame)
    if not frames:
        raise ValueError("the video has no frame; a clip has 1 + 4n frames")
    return torch.stack(frames)


def scales_as_pictures(video: Any) -> bool:
    """Whether diffusers would scale this video as pictures (smoothly) instead of as numbers (nearest neighbour)."""
    if isinstance(video, list | tuple):
        return all(map(scales_as_pictures, video))
    return not isinstance(video, np.ndarray | Tensor)


def check_as_diffusers_reads(video: Any) -> None:
    """Refuse what diffusers' own `VideoProcessor` would misread in a video that a pipeline is given.

    It reads every number as of [0, 1] and every picture as RGB; it checks sizes and numbers of frames itself.

    Raises:
        ValueError: numbers that are not in [0, 1], or pictures that are not RGB.
    """
    for index, frame in enumerate(_leaves(video)):
        if _is_picture(frame):
            if frame.mode != "RGB":
                raise ValueError(
                    f"the pipeline takes RGB pictures; frame {index} of the video is of mode {frame.mode}: "
                    'use picture.convert("RGB")'
                )
            continue
        axis = -3 if isinstance(frame, Tensor) else -1
        if frame.ndim < 3 or frame.shape[axis] != 3:
            raise ValueError(
                f"the pipeline takes RGB, tensors `frames 3 height width` and arrays `frames height width 3`; the "
                f"video has {_told(frame)}"
            )
        numbers = _numbers(frame, "the video")
        if not numbers.is_floating_point():
            raise ValueError(
                "the pipeline takes numbers in [0, 1], and would read uint8 as such; divide the video by 255"
            )
        if numbers.numel() and float(numbers.min()) < 0:
            raise ValueError(
                f"the video has {float(numbers.min()):.4g}, a little below 0, which makes the pipeline take all of it "
                "as of [-1, 1]; clamp it to [0, 1]"
            )


def _leaves(video: Any) -> Iterator[Any]:
    """The pictures, arrays and tensors of one or several videos, unchanged; other objects are left out."""
    if isinstance(video, list | tuple):
        for part in video:
            yield from _leaves(part)
    elif _is_picture(video) or isinstance(video, np.ndarray | Tensor):
        yield video


def _read_file(path: str | os.PathLike[str]) -> PixelVideo:
    from lipar.video.reader import VideoReader

    with VideoReader(os.fspath(path)) as reader:
        return torch.stack([frame.unit() for frame in reader])


def _each(video: Any) -> Iterator[Any]:
    """The frames as given; an axis of length 1 before them is left out."""
    if isinstance(video, list | tuple):
        if len(video) == 1 and (isinstance(video[0], list | tuple) or _ndim(video[0]) > 3):
            yield from _each(video[0])
            return
        for frame in video:
            if isinstance(frame, list | tuple) or _ndim(frame) > 3:
                raise ValueError(
                    f"one video at a time can be read; the list has {len(video)} entries that are videos themselves"
                )
            yield frame
    elif _is_picture(video):
        if getattr(video, "n_frames", 1) > 1:
            raise ValueError(
                f"an animated picture of {video.n_frames} frames came; give a list of its frames "
                "(PIL.ImageSequence.all_frames), or its path"
            )
        yield video
    elif isinstance(video, np.ndarray | Tensor):
        if video.ndim == 5 and video.shape[0] == 1:
            video = video[0]
        if video.ndim not in (3, 4):
            raise ValueError(f"a video is {FORMS}; got {_told(video)}")
        yield from video[None] if video.ndim == 3 else video
    else:
        raise TypeError(f"a video is {FORMS}; got {type(video).__name__}")


def _rgb(frame: Any, index: int) -> Float[Tensor, "3 height width"]:
    if _is_picture(frame):
        numbers = torch.from_numpy(np.array(_rgb_picture(frame, index)))
        channels_first = False
    elif isinstance(frame, np.ndarray | Tensor):
        frame = frame[..., None] if frame.ndim == 2 and isinstance(frame, np.ndarray) else frame
        frame = frame[None] if frame.ndim == 2 else frame
        channels_first = _has_channels_first(frame, index)
        numbers = _numbers(frame, f"frame {index}")
    else:
        raise TypeError(f"a video is {FORMS}; frame {index} is a {type(frame).__name__}")
    if not channels_first:
        numbers = rearrange(numbers, "height width channels -> channels height width")
    unit = numbers / 255 if numbers.dtype == torch.uint8 else numbers.clamp(0, 1)
    if len(unit) == 4 and float(unit[3].min()) < 1 - SLACK:
        raise _transparent(index)
    return unit[:3] if len(unit) > 1 else unit.expand(3, -1, -1)


def _has_channels_first(frame: Any, index: int) -> bool:
    """Arrays have their channels last and tensors first, unless only the other way round gives a picture."""
    if frame.ndim == 3:
        first, last = (frame.shape[axis] in _CHANNELS for axis in (0, -1))
        if first or last:
            return first if isinstance(frame, Tensor) else not last
    raise ValueError(
        f"a frame has 3 channels (or 1: grey, 4: RGBA) before or after its height and width; frame {index} is "
        f"{_told(frame)}. A whole video has its frames before that: {FORMS}"
    )


def _numbers(frame: Any, where: str) -> Tensor:
    """As a tensor of uint8 or floats, checked to be in the range of its type."""
    kind = _kind(frame)
    if kind != "uint8" and not kind.startswith(("float", "bfloat")):
        raise ValueError(
            f"pixels are floats in [0, 1] or uint8; {where} is of {kind}: scale it to one of these, its type alone "
            "does not tell its range"
        )
    if isinstance(frame, np.ndarray):
        # a copy: torch takes no negative strides, no other byte order, and no read-only memory
        frame = torch.from_numpy(np.array(frame, np.uint8 if kind == "uint8" else np.float64))
    numbers: Tensor = frame.detach()
    if kind != "uint8":
        numbers = numbers.float()
    if kind != "uint8" and numbers.numel():
        low, high = float(numbers.min()), float(numbers.max())
        if not bool(numbers.isfinite().all()):
            raise ValueError(f"{where} of the video has values that are not finite; pixels are in [0, 1]")
        if low < -SLACK or high > 1 + SLACK:
            way = (
                "values of [-1, 1] become pixels by x / 2 + 0.5"
                if high <= 1 + SLACK
                else "divide by the largest"
            )
            raise ValueError(f"pixels are in [0, 1], or uint8; {where} has {low:.4g} to {high:.4g}: {way}")
    return numbers


def _rgb_picture(picture: Any, index: int) -> Any:
    """As RGB, by PIL's own conversion, as in diffusers' `convert_to_rgb`."""
    mode = picture.mode
    if mode[0] in "IF":
        raise ValueError(
            f"frame {index} is a picture of mode {mode}, whose range is not known; scale it to 8 bits a channel"
        )
    try:
        # PIL warns of a palette with transparency unless it is converted by way of RGBA
        transparent = picture.has_transparency_data
        shown = picture.convert("RGBA" if transparent else "RGB")
    except (OSError, ValueError) as error:
        raise ValueError(
            f"frame {index}, a picture of mode {mode}, cannot be read as RGB: {error}"
        ) from error
    if transparent and shown.getchannel("A").getextrema()[0] < 255:
        raise _transparent(index)
    return shown.convert("RGB")


def _transparent(index: int) -> ValueError:
    return ValueError(
        f"frame {index} is transparent in places, and what shows behind them is not known; lay it over a background "
        "(PIL.Image.alpha_composite)"
    )


def _is_picture(given: Any) -> bool:
    return hasattr(given, "getbands") and hasattr(
        given, "convert"
    )  # a PIL picture, recognised without importing PIL


def _ndim(given: Any) -> int:
    return given.ndim if isinstance(given, np.ndarray | Tensor) else 0


def _size(frame: Tensor) -> str:
    return f"{frame.shape[-1]}x{frame.shape[-2]}"


def _told(given: Any) -> str:
    kind = "an array" if isinstance(given, np.ndarray) else "a tensor"
    return f"{kind} {list(given.shape)} of {_kind(given)}"


def _kind(given: Any) -> str:
    """Name of the type of its numbers, without the byte order."""
    return given.dtype.name if isinstance(given, np.ndarray) else str(given.dtype).removeprefix("torch.")
