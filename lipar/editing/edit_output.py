"""The files that an edit writes."""

from collections.abc import Sequence
from contextlib import ExitStack

from jaxtyping import Shaped
from torch import Tensor

from lipar.editing.source import SourceFrames
from lipar.events import EditOptions
from lipar.files.owner import Outputs
from lipar.types import KeepMask
from lipar.video.convert import to_bytes
from lipar.video.shade import Shade


class EditOutput:
    """The result and, where it is asked for, the overlay: one frame after another, at the size to write at.

    Args:
        options: paths, size and encoding.
        source: gives timing, colour and sound.
        stack: closes the writers.
        outputs: owns the files.
    """

    def __init__(
        self, options: EditOptions, source: SourceFrames, stack: ExitStack, outputs: Outputs
    ) -> None:
        size = source.shown_size if options.keep_source_size else source.size
        self._writer, *overlays = (
            stack.enter_context(source.writer(path, size, outputs, options.encoding))
            for path in (options.output, options.overlay)
            if path is not None
        )
        self._overlay = overlays[0] if overlays else None
        self._shade = Shade(self._writer) if overlays else None

    def write(
        self,
        frames: Shaped[Tensor, "frames 3 height width"],
        masks: KeepMask,
        times: Sequence[tuple[int, int]],
    ) -> None:
        """Write pixel frames; they are scaled once, on their way from bytes to YUV.

        Args:
            frames: RGB on any device, at the size processed; floating point in [0, 1].
            masks: on the CPU, for each frame.
            times: pts and duration of each frame.

        Raises:
            VideoError: a frame holds NaN, or writing fails.
        """
        whole = to_bytes(frames, first=self._writer.frames_written)
        for rgb, mask, (pts, duration) in zip(whole, masks, times, strict=True):
            picture = self._writer.picture(rgb)
            if self._overlay is not None and self._shade is not None:
                self._overlay.write_picture(self._shade(picture, mask), pts=pts, duration=duration)
            self._writer.write_picture(picture, pts=pts, duration=duration)

    def close(self) -> None:
        """Write what the encoders have in their buffers, and finish the files."""
        self._writer.close()
        if self._overlay is not None:
            self._overlay.close()
