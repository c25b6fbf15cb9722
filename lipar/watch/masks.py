"""The keep masks of an edit, in a file that numpy reads."""

from pathlib import Path
from typing import IO, Any

import attrs
from numpy.lib import format as npy

from lipar.hookspecs import hookimpl
from lipar.scheduler import RestoredBlock


@attrs.define
class MaskRecorder:
    """A plugin that writes the keep masks to an `.npy` file: bool, `frames rows cols`, True = computed.

    Frames are latent frames from the first of the video on, rows and columns those of the token grid; the frames that
    fill up the last block are among them. The file is whole after every block, whatever happens next.

    Args:
        path: what is there is replaced when the first block is done.
    """

    path: Path
    _frames: int = attrs.field(init=False, default=0)

    @hookimpl
    def lipar_block_written(self, block: RestoredBlock) -> None:
        """Append a block's mask."""
        mask = block.layout.keep_mask.cpu().numpy()
        frames, *grid = mask.shape
        if not self._frames:
            with self.path.open("wb") as file:
                _write_header(file, (0, *grid))
        with self.path.open("ab") as file:
            file.write(mask.tobytes())
        # the header last: the file never claims frames that it does not hold
        self._frames += frames
        with self.path.open("r+b") as file:
            _write_header(file, (self._frames, *grid))


def _write_header(file: IO[bytes], shape: tuple[int, ...]) -> None:
    # numpy leaves room in a header for the first axis to grow, so that its length stays the same
    header: dict[str, Any] = {"descr": "|b1", "fortran_order": False, "shape": shape}
    npy.write_array_header_1_0(file, header)
