"""Frames of programs: JPEG, or rows of RGB bytes."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from lipar.live.server.ending import BadMessage

QUALITY = 90
"""Of a JPEG that is sent; artefacts are hardly seen, and a picture has a tenth of its bytes."""

Picture = npt.NDArray[np.uint8]
"""`height width 3`, RGB."""


def decode(data: memoryview, form: str, size: tuple[int, int]) -> Picture:
    """A frame of a program.

    Args:
        data: of the frame.
        form: one of `lipar.live.server.messages.FORMATS`.
        size: width and height that the program said its frames have.

    Raises:
        BadMessage: it is no picture of that format and size.
    """
    width, height = size
    if form == "jpeg":
        return _from_jpeg(data, size)
    if len(data) != width * height * 3:
        raise BadMessage(
            f"a frame of {width}x{height} has {width * height * 3} bytes as rgb24, and {len(data)} came"
        )
    return np.frombuffer(data, np.uint8).reshape(height, width, 3)


def _from_jpeg(data: memoryview, size: tuple[int, int]) -> Picture:
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as picture:
            # from the header, before anything is decoded: a few bytes may stand for gigabytes of pixels
            if picture.size == size:
                return np.asarray(picture.convert("RGB"))
            came = "{}x{}".format(*picture.size)
    except Exception as error:  # a damaged file fails in many ways
        raise BadMessage(f"a frame is no JPEG that can be read: {error}") from error
    raise BadMessage(f"open said frames of {size[0]}x{size[1]}, and a JPEG of {came} came")


def encode(picture: Picture, form: str) -> bytes:
    """A frame for a program.

    Args:
        picture: of the session's size.
        form: as for `decode`.
    """
    if form == "rgb24":
        return picture.tobytes()
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=QUALITY)
    return file.getvalue()
