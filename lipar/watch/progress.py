"""How far an edit has come, for people."""

from typing import Any

import attrs
from tqdm import tqdm

from lipar.hookspecs import hookimpl


@attrs.define
class ProgressBar:
    """A plugin that shows a bar of pixel frames with the time left, where standard error is a terminal."""

    _bar: "tqdm[Any] | None" = attrs.field(init=False, default=None)

    @hookimpl
    def lipar_edit_begun(self, frames: int | None) -> None:
        """Show the bar; without a total where the number of frames is not known."""
        self._bar = tqdm(total=frames, unit="frame", desc="edit", disable=None)

    @hookimpl
    def lipar_block_written(self, pixel_frames: int) -> None:
        """Move it."""
        if self._bar is not None:
            self._bar.update(pixel_frames)

    @hookimpl
    def lipar_edit_ended(self) -> None:
        """Leave it as it stands."""
        if self._bar is not None:
            self._bar.close()
