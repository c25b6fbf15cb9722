"""Pictures from files as RGB bytes, of any depth, with or without transparency."""

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lipar.video.errors import VideoError, VideoWarning

if TYPE_CHECKING:
    from PIL import Image

SURELY_BYTES = 16
"""Float values up to 1 are in 0..1, from this on in 0..255; between the two the range is not known."""


def read_picture(path: Path) -> "Image.Image":
    """Read a picture file as PIL's RGB, upright; transparent parts are shown on black, with a warning.

    Raises:
        VideoError: the file is no picture, or the range of its values is not known.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return on_black_rgb(ImageOps.exif_transpose(picture), path.name)
    except UnidentifiedImageError as error:
        raise VideoError(f"{path} is no picture that can be read") from error


def on_black_rgb(picture: "Image.Image", name: str) -> "Image.Image":
    """A picture of any mode as PIL's RGB; transparent parts are shown on black, with a warning.

    Args:
        picture: read-only.
        name: of its file, for messages.

    Raises:
        VideoError: the range of its values is not known.
    """
    from PIL import Image

    if picture.mode.startswith("I;16") or picture.mode in ("I", "F"):
        # PIL's own conversion clips them at 255
        picture = Image.fromarray(_bytes(np.asarray(picture), name))
    if not picture.has_transparency_data:
        return picture.convert("RGB")
    picture = picture.convert("RGBA")
    alpha = picture.getchannel("A")
    if alpha.getextrema() != (255, 255):
        warnings.warn(f"{name} is transparent in places; they are shown on black", VideoWarning, stacklevel=4)
    return Image.composite(picture.convert("RGB"), Image.new("RGB", picture.size), alpha)


def _bytes(values: np.ndarray, name: str) -> np.ndarray:
    """Scale grey values of more than 8 bits to 0..255, by the range of their type or of their values."""
    wide = values.astype(np.float64)
    if not np.isfinite(wide).all():
        raise VideoError(f"{name} holds NaN or infinity; save it again, with values of 0..1 or 8 bits")
    largest = wide.max(initial=0)
    if values.dtype == np.uint16:
        top = 65535.0
    elif values.dtype.kind == "f":
        top = next((top for top in (1.0, 255.0, 65535.0) if largest <= top), 0.0)
        if wide.min(initial=0) < 0 or not top or 1 < largest < SURELY_BYTES:
            raise VideoError(
                f"{name} is a picture of floats in {wide.min():g}..{largest:g}; they must be in 0..1 or 0..255"
            )
    else:
        top = next(float(2**bits - 1) for bits in (8, 16, 32) if largest < 2**bits)
    return np.asarray(np.clip(wide * (255 / top), 0, 255).round(), np.uint8)
