"""The strip below a picture, in which a page wrote when it took the picture.

The server does not read it: it goes the way of its picture and comes back below the edited one, so that the page
measures the latency of the whole way.
"""

import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.uint8]
"""`height width 3`, RGB."""

STRIP = 16
"""Rows of the strip: two rows of cells, 16 cells each."""


def cut(picture: Picture) -> tuple[Picture, Picture]:
    """A page's picture without its strip, and the strip.

    Args:
        picture: the rows of the strip are its last ones.
    """
    # a copy, since the strip stays with its frame longer than the picture
    return picture[:-STRIP], picture[-STRIP:].copy()


def compose(source: Picture, result: Picture, strip: Picture) -> Picture:
    """The picture that goes back: source left, result right, the strip below the source, black below the result.

    Args:
        source: as it was edited.
        result: of the same size.
        strip: of the frame that was edited.
    """
    height, width, _ = source.shape
    picture = np.zeros((height + STRIP, 2 * width, 3), np.uint8)
    picture[:height, :width] = source
    picture[:height, width:] = result
    picture[height:, :width] = strip
    return picture


def blank(size: tuple[int, int]) -> Picture:
    """What is sent before there is a block: black, with a strip that has no valid check.

    Args:
        size: width and height of the frames that are edited.
    """
    width, height = size
    return np.zeros((height + STRIP, 2 * width, 3), np.uint8)
