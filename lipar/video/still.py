"""Pictures side by side in one picture file."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter
from jaxtyping import Bool, UInt8
from torch import Tensor

from lipar.files.owner import Outputs
from lipar.video.colour import Colour
from lipar.video.composite import EDGE, composite
from lipar.video.convert import plane_view, read_planes, rgb_to_frame
from lipar.video.errors import explain
from lipar.video.mask_picture import MaskPicture
from lipar.video.shade import OPACITY, TINT

GAP = 8
"""Columns between two pictures, white."""
SUFFIXES = (".png", ".jpg", ".jpeg")


class StillPictures:
    """Scales pictures to one size, shades what was pruned, and writes them next to each other.

    Args:
        size: width and height of each.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._scaler = VideoReformatter()

    def inside(
        self, mask: MaskPicture, edited: UInt8[Tensor, "3 _ _"], source: UInt8[Tensor, "3 _ _"]
    ) -> UInt8[Tensor, "3 height width"]:
        """A picture, at the size to show, that is the edit where the mask is white and the source where it is black.

        Args:
            mask: at the size to show.
            edited: RGB of any size.
            source: likewise.
        """
        return read_planes(composite(self._scaled(source), self._scaled(edited), mask), (2, 0, 1))

    def _scaled(self, rgb: UInt8[Tensor, "3 h w"]) -> av.VideoFrame:
        return rgb_to_frame(rgb, Colour().for_rgb(), self._size, "gbrp", self._scaler)

    def save(
        self,
        pictures: Sequence[tuple[UInt8[Tensor, "3 h w"], Bool[Tensor, "rows cols"] | None]],
        path: Path,
        outputs: Outputs,
        *,
        edge: MaskPicture | None = None,
    ) -> None:
        """Write one picture file, which `outputs` publishes.

        Args:
            pictures: from left to right, each with the mask of kept tokens, or without one.
            path: absolute; the ending chooses the format.
            outputs: owns the file.
            edge: of what may change, drawn where kept tokens are shown; None: of everything.

        Raises:
            VideoError: it cannot be written.
        """
        from PIL import Image

        shown = [self._shown(rgb, mask, edge) for rgb, mask in pictures]
        gap = np.full((self._size[1], GAP, 3), 255, np.uint8)
        row = [part for picture in shown for part in (gap, picture)][1:]
        try:
            unfinished = outputs.claim(path)
            kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
            options = {} if kind == "PNG" else {"quality": 95, "subsampling": 0}
            Image.fromarray(np.concatenate(row, axis=1)).save(unfinished, kind, **options)
        except OSError as error:
            raise explain(error, path.parent) from error

    def _shown(
        self, rgb: UInt8[Tensor, "3 h w"], mask: Bool[Tensor, "rows cols"] | None, edge: MaskPicture | None
    ) -> npt.NDArray[np.uint8]:
        picture = self._scaled(rgb)
        # the planes of gbrp are green, blue and red
        pixels = np.stack([plane_view(picture.planes[plane]) for plane in (2, 0, 1)], axis=-1)
        if mask is None:
            return pixels
        keep = mask.cpu().numpy()
        rows, columns = (np.arange(new) * old // new for new, old in zip(pixels.shape, keep.shape))
        opacity = np.where(keep.take(rows, 0).take(columns, 1), 0.0, OPACITY / 256)[..., None]
        blend = pixels * (1 - opacity) + np.array(TINT) * 255 * opacity
        rounded: npt.NDArray[np.uint8] = blend.round().astype(np.uint8)
        if edge is not None:
            rounded[edge.edge > 0] = EDGE
        return rounded
