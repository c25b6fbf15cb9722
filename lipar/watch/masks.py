"""The keep masks of an edit, in a file that numpy reads."""

import io
from pathlib import Path
from typing import Any

import attrs
from numpy.lib import format as npy

from lipar.files.locks import GrowingFile
from lipar.hookspecs import hookimpl
from lipar.job import RestoredBlock


@attrs.define
class MaskRecorder:
    """A plugin that writes the keep masks to an `.npy` file: bool, `frames rows cols`, True = computed.

    Frames are all latent frames of the video, those that fill up the last block included; rows and columns are those of
    the token grid. The file is complete after every block, however the run ends.

    Args:
        path: an existing file is replaced when the first block is done; refused while another run writes there.
    """

    path: Path
    _frames: int = attrs.field(init=False, default=0)
    _file: GrowingFile = attrs.field(
        init=False, default=attrs.Factory(lambda self: GrowingFile(self.path), takes_self=True)
    )

    @hookimpl
    def lipar_block_written(self, block: RestoredBlock) -> None:
        """Append a block's mask."""
        mask = block.layout.keep_mask.cpu().numpy()
        frames, *grid = mask.shape
        self._frames += frames
        header = _header((self._frames, *grid))
        if self._frames == frames:
            self._file.begin(header + mask.tobytes())
            return
        self._file.append(mask.tobytes())
        # the header last, so that it never announces frames that are not in the file
        self._file.overwrite_start(header)

    @hookimpl
    def lipar_edit_ended(self) -> None:
        """Close the file."""
        self._file.end()


def _header(shape: tuple[int, ...]) -> bytes:
    # numpy pads a header so that the first axis can grow without a change of its length
    header: dict[str, Any] = {"descr": "|b1", "fortran_order": False, "shape": shape}
    written = io.BytesIO()
    npy.write_array_header_1_0(written, header)
    return written.getvalue()
