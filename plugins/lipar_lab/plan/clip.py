"""A clip that is planned: read, encoded, and its blocks decided."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import attrs
import torch
from tqdm import tqdm

from lipar.config import Config
from lipar.editing.encoder import BlockEncoder
from lipar.editing.source import SourceFrames, check_resolution
from lipar.events import EditOptions
from lipar.masks.source import SourcePiece, pixel_frames_in
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_parts
from lipar.protocols import Model
from lipar.spec import NO_AUTOENCODER
from lipar.video import PixelFrame
from lipar_lab.plan.block_plan import BlockPlan, kept_fraction
from lipar_lab.plan.planning import plan_blocks
from lipar_lab.plan.spool import SourceSpool


@attrs.frozen(kw_only=True)
class ClipPlan:
    """The blocks of a clip, in numbers."""

    path: Path
    size: tuple[int, int]
    """Width and height to process at, in pixels."""
    shown_size: tuple[int, int]
    """Width and height of the file."""
    first_block_frames: int
    """Pixel frames that fill the first block."""
    block_frames: int
    """Pixel frames that fill each other block."""
    blocks: list[BlockPlan]

    @property
    def pixel_frames(self) -> int:
        """Frames of the clip."""
        return self.blocks[-1].pixel_frames[1]

    @property
    def kept_fraction(self) -> float:
        """Of all that is shown, as `lipar edit` reports it."""
        return kept_fraction(self.blocks) or 0.0

    @property
    def kept_after_first(self) -> float | None:
        """Without the first block of each scene; None where there is no other."""
        return kept_fraction([block for block in self.blocks if block.has_history])

    @property
    def filled_frames(self) -> int:
        """Pixel frames by which copies of the last frame fill up the last block."""
        last = self.blocks[-1]
        whole = self.block_frames if last.index else self.first_block_frames
        return whole - (last.pixel_frames[1] - last.pixel_frames[0])


class ClipReader:
    """Opens a clip as `lipar edit` does, and plans its blocks, again with other settings if asked.

    Args:
        path: the video.
        model: gives size and blocks; no forward of it is called.
        resolution: width and height to process at; None: the model's own area in the shape of the clip.
        stack: closes the file.
        keeps: write the encoded clip to a temporary file for `plan_again`.

    Raises:
        VideoError: the clip cannot be read.
        ValueError: the resolution does not fit the model, or it has no autoencoder.
    """

    def __init__(
        self,
        path: Path,
        model: Model,
        resolution: tuple[int, int] | None,
        stack: ExitStack,
        *,
        keeps: bool = False,
    ) -> None:
        if model.autoencoder is None:
            raise ValueError(NO_AUTOENCODER)
        self.model, self.autoencoder, self._path = model, model.autoencoder, path
        # nothing is written; a source is opened by the options of an edit
        options = EditOptions(prompt="", output=path, source=path, resolution=resolution)
        self.source = SourceFrames(options, model, stack)
        check_resolution(self.source.size, model, self.autoencoder)
        self._stack, self._keeps = stack, keeps
        self._spool: SourceSpool | None = None
        self._read = 0

    def plan(self, config: Config, *, host: PluginHost, quiet: bool = False) -> ClipPlan:
        """Read the clip, encode it, and decide its blocks.

        Args:
            config: names and numbers of the run.
            host: the plugins.
            quiet: show no progress bar.

        Raises:
            VideoError: the clip cannot be read, or has no frames.
        """
        with tqdm(total=self.source.count, unit="frame", desc="plan", disable=quiet or None) as bar:
            pieces: Iterator[SourcePiece] = iter(
                BlockEncoder(self._counted(bar), self.model, self.autoencoder)
            )
            if self._keeps:
                pixels = "pixels" in make_parts(host, config).criterion.needs
                self._spool = self._stack.enter_context(SourceSpool(pixels=pixels))
                pieces = self._spool.record(pieces)
            return self._planned(config, pieces, host)

    def plan_again(self, config: Config, *, host: PluginHost) -> ClipPlan:
        """Decide the blocks with other settings, without reading and encoding the clip again.

        Args:
            config: with the same criterion.
            host: the plugins.
        """
        assert self._spool is not None, "only for a reader that keeps the clip, after `plan`"
        return self._planned(config, self._spool.read(), host)

    def _planned(self, config: Config, pieces: Iterator[SourcePiece], host: PluginHost) -> ClipPlan:
        with torch.no_grad():
            blocks = list(
                plan_blocks(self.model, self.autoencoder, config, pieces, lambda: self._read, host=host)
            )
        return ClipPlan(
            path=self._path,
            size=self.source.size,
            shown_size=self.source.shown_size,
            first_block_frames=pixel_frames_in(self.autoencoder, 0, self.model.block_frames),
            block_frames=pixel_frames_in(self.autoencoder, 1, self.model.block_frames),
            blocks=blocks,
        )

    def _counted(self, bar: "tqdm[Any]") -> Iterator[PixelFrame]:
        for frame in self.source.frames:
            self._read += 1
            bar.update()
            yield frame
