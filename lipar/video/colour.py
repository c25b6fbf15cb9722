"""What the numbers of a picture mean: YUV matrix, range, and the tags that say so."""

import attrs
import torch
from torch import Tensor

UNSPECIFIED = 2
"""What H.273 (and so every container) writes when a property is not known."""

# H.273 matrix coefficients -> our name, and name -> the number we write
MATRIX_NAMES = {
    0: "rgb",
    1: "bt709",
    4: "fcc",
    5: "bt601",
    6: "bt601",
    7: "smpte240m",
    9: "bt2020",
    10: "bt2020",
}
MATRIX_CODES = {"rgb": 0, "bt709": 1, "fcc": 4, "bt601": 6, "smpte240m": 7, "bt2020": 9}

# red's and blue's share in luma: H.273, table 4
LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt601": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}

# primaries and transfer that go with a matrix when the source names none
USUAL_TAGS = {"bt709": (1, 1), "fcc": (4, 4), "bt601": (6, 6), "smpte240m": (7, 7), "bt2020": (9, 14)}
HDR_TRANSFERS = {16: "PQ (SMPTE 2084)", 18: "HLG (ARIB STD-B67)"}


@attrs.frozen(kw_only=True)
class Colour:
    """How pixels are coded. `primaries` and `transfer`: H.273 numbers, carried along, not converted."""

    matrix: str = attrs.field(default="bt709", validator=attrs.validators.in_(MATRIX_CODES))
    full_range: bool = False
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    guessed: bool = False  # the file names no matrix: by size, as players do

    @property
    def hdr(self) -> str | None:
        """The name of the HDR transfer, None for ordinary video."""
        return HDR_TRANSFERS.get(self.transfer)

    def for_writing(self) -> "Colour":
        """Give what to write to look the same: the same matrix, limited range, every tag filled in."""
        # RGB says nothing of a matrix, but its primaries and its transfer stay true
        wide = self.matrix == "rgb" and self.primaries == 9
        matrix = self.matrix if self.matrix != "rgb" else "bt2020" if wide else "bt709"
        primaries, transfer = USUAL_TAGS[matrix]
        # sRGB's curve is what pictures have; players of video take it for BT.709's
        keeps = self.matrix != "rgb" or self.hdr is not None or wide
        return Colour(
            matrix=matrix,
            primaries=self.primaries if keeps and self.primaries != UNSPECIFIED else primaries,
            transfer=self.transfer if keeps and self.transfer != UNSPECIFIED else transfer,
        )


BT709 = Colour(primaries=1, transfer=1)
"""What HD video is, and what we write unless told otherwise."""


def resolve_colour(
    *, matrix: int, colour_range: int, primaries: int, transfer: int, is_rgb: bool, width: int, height: int
) -> Colour:
    """Give the colour of a file from its tags, and where they are silent from its size, as players do.

    Without a matrix, HD (1280 wide or more than 576 high) is taken for BT.709 and smaller for BT.601;
    without a range, YUV is limited. `width` and `height` are those of the stored picture.
    """
    if is_rgb:
        return Colour(matrix="rgb", full_range=True, primaries=primaries, transfer=transfer)
    # 0 on YUV planes is a broken tag (some cameras), 3, 8 and above are not in use for video
    name = MATRIX_NAMES.get(matrix) if matrix != 0 else None
    guessed = name is None
    if name is None:
        small = "bt709" if width >= 1280 or height > 576 else "bt601"
        name = "bt2020" if primaries == 9 else small
    return Colour(
        matrix=name, full_range=colour_range == 2, primaries=primaries, transfer=transfer, guessed=guessed
    )


def yuv_to_rgb(yuv: Tensor, colour: Colour, bit_depth: int) -> Tensor:
    """Decode YUV 4:4:4 integers, `3 h w`, into RGB float32 in 0..1 (H.273, section 8.3)."""
    red, blue = LUMA_WEIGHTS[colour.matrix]
    top, step = float(2**bit_depth - 1), float(2 ** (bit_depth - 8))
    y, u, v = yuv.to(torch.float32)
    if colour.full_range:
        y, u, v = y / top, (u - 128 * step) / top, (v - 128 * step) / top
    else:
        y, u, v = (
            (y - 16 * step) / (219 * step),
            (u - 128 * step) / (224 * step),
            (v - 128 * step) / (224 * step),
        )
    r = y + 2 * (1 - red) * v
    b = y + 2 * (1 - blue) * u
    g = (y - red * r - blue * b) / (1 - red - blue)
    return torch.stack((r, g, b)).clamp_(0, 1)
