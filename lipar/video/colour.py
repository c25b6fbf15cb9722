"""The meaning of a picture's numbers: YUV matrix, range, and the tags for them."""

import attrs
import torch
from torch import Tensor

UNSPECIFIED = 2
"""The number of an unknown property in H.273, and so in every container."""

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

# weights of red and blue in luma: H.273, table 4
LUMA_WEIGHTS = {
    "bt709": (0.2126, 0.0722),
    "fcc": (0.30, 0.11),
    "bt601": (0.299, 0.114),
    "smpte240m": (0.212, 0.087),
    "bt2020": (0.2627, 0.0593),
}

# primaries and transfer for a matrix when the source names none
USUAL_TAGS = {"bt709": (1, 1), "fcc": (4, 4), "bt601": (6, 6), "smpte240m": (7, 7), "bt2020": (9, 14)}
HDR_TRANSFERS = {16: "PQ (SMPTE 2084)", 18: "HLG (ARIB STD-B67)"}


@attrs.frozen(kw_only=True)
class Colour:
    """How pixels are coded. `primaries` and `transfer` are H.273 numbers, passed on without conversion."""

    matrix: str = attrs.field(default="bt709", validator=attrs.validators.in_(MATRIX_CODES))
    full_range: bool = False
    primaries: int = UNSPECIFIED
    transfer: int = UNSPECIFIED
    guessed: bool = False  # the file names no matrix; chosen by size, as players do

    @property
    def hdr(self) -> str | None:
        """The name of the HDR transfer, None for ordinary video."""
        return HDR_TRANSFERS.get(self.transfer)

    def for_writing(self) -> "Colour":
        """The colour to write so that the video looks the same: the same matrix, limited range, every tag set."""
        # RGB has no matrix, but its primaries and its transfer remain valid
        wide = self.matrix == "rgb" and self.primaries == 9
        matrix = self.matrix if self.matrix != "rgb" else "bt2020" if wide else "bt709"
        primaries, transfer = USUAL_TAGS[matrix]
        # pictures have the transfer of sRGB; video players treat it as that of BT.709
        keeps = self.matrix != "rgb" or self.hdr is not None or wide
        return Colour(
            matrix=matrix,
            primaries=self.primaries if keeps and self.primaries != UNSPECIFIED else primaries,
            transfer=self.transfer if keeps and self.transfer != UNSPECIFIED else transfer,
        )

    def for_rgb(self) -> "Colour":
        """The colour to write where red, green and blue are stored: the same primaries and transfer."""
        return attrs.evolve(self.for_writing(), matrix="rgb", full_range=True)


BT709 = Colour(primaries=1, transfer=1)
"""The colour of HD video, and the default for writing."""


def resolve_colour(
    *, matrix: int, colour_range: int, primaries: int, transfer: int, is_rgb: bool, width: int, height: int
) -> Colour:
    """The colour of a file from its tags, and from its size where a tag is missing, as players do.

    Without a matrix, HD (1280 wide or more than 576 high) is read as BT.709 and smaller video as BT.601; without a
    range, YUV is limited.

    Args:
        matrix: H.273 number of the matrix coefficients; 2 is unknown.
        colour_range: 1 is limited, 2 full, 0 unknown, as in ffmpeg.
        primaries: H.273 number.
        transfer: H.273 number.
        is_rgb: whether the stored planes are red, green and blue.
        width: of the stored picture.
        height: of the stored picture.
    """
    if is_rgb:
        return Colour(matrix="rgb", full_range=True, primaries=primaries, transfer=transfer)
    # 0 on YUV planes is a wrong tag (some cameras); 3, 8 and above are not used for video
    name = MATRIX_NAMES.get(matrix) if matrix != 0 else None
    guessed = name is None
    if name is None:
        small = "bt709" if width >= 1280 or height > 576 else "bt601"
        name = "bt2020" if primaries == 9 else small
    return Colour(
        matrix=name, full_range=colour_range == 2, primaries=primaries, transfer=transfer, guessed=guessed
    )


def yuv_to_rgb(yuv: Tensor, colour: Colour, bit_depth: int) -> Tensor:
    """Decode YUV 4:4:4 integers, `3 h w`, to RGB float32 in 0..1 (H.273, section 8.3)."""
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
