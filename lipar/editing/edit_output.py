"""The files that an edit writes."""

from collections.abc import Sequence
from contextlib import ExitStack

import attrs
from jaxtyping import Bool, Shaped
from torch import Tensor

from lipar.editing.source import SourceFrames
from lipar.editing.transfer import HostCopy
from lipar.events import EditOptions
from lipar.files.owner import Outputs
from lipar.video.composite import check_blended, picture_inside, with_edge
from lipar.video.convert import begin_bytes, check_finite
from lipar.video.mask_picture import MaskPicture
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
        size = source.written_size(options)
        self._writer, *overlays = (
            stack.enter_context(source.sink(path, size, options, outputs))
            for path in (options.output, options.overlay)
            if path is not None
        )
        if options.mask is not None:
            check_blended(self._writer.pixel_format)
        self._overlay = overlays[0] if overlays else None
        self._shade = Shade(self._overlay) if self._overlay is not None else None

    def write(self, pictures: "Pictures") -> None:
        """Write the pictures of a block; they are scaled once, on their way from bytes to YUV.

        Args:
            pictures: of the next block.

        Raises:
            VideoError: a frame holds NaN, or writing fails.
        """
        check_finite(pictures.finite.wait(), self._writer.frames_written)
        frames, masks = pictures.frames.wait(), pictures.masks.wait()
        written = zip(frames, masks, pictures.times, pictures.backdrops, strict=True)
        for rgb, mask, (pts, duration), backdrop in written:
            outside = None if backdrop is None else (backdrop.rgb, backdrop.mask)
            picture = picture_inside(self._writer, rgb, outside)
            if self._overlay is not None and self._shade is not None:
                shared = self._overlay.pixel_format == self._writer.pixel_format
                base = picture if shared else picture_inside(self._overlay, rgb, outside)
                shaded = self._shade(base, mask)
                if backdrop is not None:
                    shaded = with_edge(shaded, backdrop.mask)
                self._overlay.write_picture(shaded, pts=pts, duration=duration)
            self._writer.write_picture(picture, pts=pts, duration=duration)

    def close(self) -> None:
        """Write what the encoders have in their buffers, and finish the files."""
        self._writer.close()
        if self._overlay is not None:
            self._overlay.close()


@attrs.frozen(eq=False)
class Backdrop:
    """A frame of the source, which is shown outside its mask."""

    rgb: Tensor
    """As in the source."""
    mask: MaskPicture
    """At the size to write at."""


@attrs.frozen(eq=False)
class Pictures:
    """The pictures of a block as they go to the writer: as bytes, and on their way to the host."""

    frames: HostCopy
    """RGB as bytes."""
    finite: HostCopy
    """Of each frame."""
    masks: HostCopy
    times: Sequence[tuple[int, int]]
    backdrops: Sequence["Backdrop | None"]
    """What is shown of each frame outside its mask; None: there is no mask."""

    @classmethod
    def begin(
        cls,
        frames: Shaped[Tensor, "frames 3 height width"],
        masks: Bool[Tensor, "frames rows cols"],
        times: Sequence[tuple[int, int]],
        backdrops: Sequence["Backdrop | None"] | None = None,
    ) -> "Pictures":
        """Queue the conversion and the copy of frames; nothing waits for the device.

        Args:
            frames: RGB on any device, at the size processed; floating point in [0, 1].
            masks: of kept tokens, for each frame.
            times: pts and duration of each frame.
            backdrops: what is shown outside of masks; None: there are none.
        """
        rounded, finite = begin_bytes(frames)
        copies = (HostCopy.begin(rounded), HostCopy.begin(finite), HostCopy.begin(masks))
        return cls(*copies, times, [None] * len(times) if backdrops is None else backdrops)

    def wait(self) -> None:
        """Wait until all copies are complete."""
        for copy in (self.frames, self.finite, self.masks):
            copy.wait()
