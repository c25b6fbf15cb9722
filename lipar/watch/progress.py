"""The progress of an edit as a bar in the terminal."""

import typing
from typing import Any

import attrs
from tqdm import tqdm

from lipar.config import Config
from lipar.hookspecs import hookimpl
from lipar.protocols import Model


@attrs.define
class ProgressBar:
    """A plugin that shows a bar of pixel frames with the time left, where standard error is a terminal.

    It also moves within a block: each forward counts as an equal part of it, and decoding to pixels as the last. The
    current stage is shown next to the bar.

    Args:
        title: stands before the bar.
    """

    title: str = "edit"
    _bar: "tqdm[Any] | None" = attrs.field(init=False, default=None)
    _block_frames: int = attrs.field(init=False, default=0)
    """Pixel frames of a block, those that only fill up the last one included."""
    _parts: int = attrs.field(init=False, default=1)
    """Equal parts of a block: denoise steps, clean pass, decoding to pixels."""
    _done: int = attrs.field(init=False, default=0)
    """Pixel frames written."""

    @hookimpl
    def lipar_edit_begun(self, config: Config, model: Model, frames: int | None) -> None:
        """Show the bar; without a total where the number of frames is unknown."""
        autoencoder = model.autoencoder
        self._done = 0
        self._block_frames = model.block_frames * (autoencoder.next_pixel_frames if autoencoder else 1)
        self._parts = len(model.sigmas(config.strength, config.scaled_steps)) + 2
        self._bar = tqdm(total=frames, unit="frame", desc=self.title, disable=None)

    # pluggy takes a generator function for a wrapper, whatever the annotation says
    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_prune(self):
        """Show that the mask of a block is being made."""
        self._show(0, "deciding what to compute")
        return (yield)

    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_forward(self, job, forward_pass):
        """Move to the begin of a pass, and after the clean pass to decoding."""
        steps = self._parts - 2
        if job.probing:
            self._show(0, "timing the block dense")
            return (yield)
        part = steps if forward_pass.clean else forward_pass.step
        self._show(part, "clean pass" if forward_pass.clean else f"step {part + 1} of {steps}")
        answer = yield
        if forward_pass.clean:
            self._show(part + 1, "decoding to pixels")
        return answer

    def _show(self, part: int, doing: str) -> None:
        """Move to a part of the current block, never back and never beyond the clip."""
        bar = self._bar
        if bar is None or bar.disable:
            return
        reached = self._done + self._block_frames * part // self._parts
        bar.update(max((reached if bar.total is None else min(reached, bar.total)) - bar.n, 0))
        bar.set_postfix_str(doing)

    @hookimpl
    def lipar_block_written(self, pixel_frames: int) -> None:
        """Move to the end of the block."""
        self._done += pixel_frames
        if self._bar is not None:
            self._bar.update(self._done - self._bar.n)

    @hookimpl
    def lipar_edit_ended(self) -> None:
        """Close the bar where it is."""
        if self._bar is not None:
            self._bar.set_postfix_str("", refresh=False)
            self._bar.close()
