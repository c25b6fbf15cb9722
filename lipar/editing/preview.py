"""One picture of a moment of an edit: source, result and mask, without the edit of all that comes before."""

import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from fractions import Fraction
from itertools import islice

import attrs
from jaxtyping import UInt8
from torch import Tensor

from lipar.editing.edit_output import Backdrop, EditOutput, Pictures
from lipar.editing.source import SourceFrames
from lipar.events import EditOptions
from lipar.files.owner import Outputs
from lipar.masks.source import pixel_frames_in
from lipar.protocols import Autoencoder, Model
from lipar.video import PixelFrame
from lipar.video.convert import check_finite, to_bytes
from lipar.video.errors import VideoError
from lipar.video.frame_source import FrameSource
from lipar.video.moment import Moment
from lipar.video.sources.choose import open_source
from lipar.video.sources.kinds import kind_of
from lipar.video.sources.moments import frame_at, time_of
from lipar.video.sources.part import Part
from lipar.video.still import StillPictures

LEAD_BLOCKS = 2
"""Blocks that are edited before the one of the moment. The first of a run is always computed in full, so that a mask
takes one; with two, the block of the moment has a neighbour that was pruned itself."""


@attrs.frozen(kw_only=True)
class Window:
    """Which frames a preview reads, as indices in the clip."""

    begin: int
    count: int
    """Up to the end of the block of the moment."""
    moment: int
    """Index of the frame that is shown, counted from `begin`."""

    @classmethod
    def around(cls, frame: int, model: Model, autoencoder: Autoencoder) -> "Window":
        """The blocks up to that of a frame.

        Args:
            frame: index in the clip.
            model: gives the length of a block.
            autoencoder: the model's.
        """
        lead = pixel_frames_in(autoencoder, 0, LEAD_BLOCKS * model.block_frames)
        begin = max(0, frame - lead)
        blocks = 1
        while pixel_frames_in(autoencoder, 0, blocks * model.block_frames) <= frame - begin:
            blocks += 1
        count = pixel_frames_in(autoencoder, 0, blocks * model.block_frames)
        return cls(begin=begin, count=count, moment=frame - begin)

    @property
    def part(self) -> Part:
        """The part of the clip from the window's begin on."""
        return Part(Moment(frame=self.begin))


class PreviewSource(SourceFrames):
    """The frames that a preview reads, and the source's frame of the moment once that has passed.

    Args:
        options: `preview` names the moment.
        model: gives the length of a block, and the usual resolution.
        autoencoder: the model's.
        stack: closes the source.

    Raises:
        VideoError: the moment is after the end of the clip.
        ValueError: there is no clip that can be read twice, or only a part of it is to be edited.
    """

    def __init__(
        self, options: EditOptions, model: Model, autoencoder: Autoencoder, stack: ExitStack
    ) -> None:
        window = Window.around(_frame_of(options), model, autoencoder)
        reading = attrs.evolve(options.reading, part=window.part if window.begin else None)
        super().__init__(attrs.evolve(options, reading=reading), model, stack)
        if window.begin and (options.later_prompts or options.mask):
            self.begins = (window.begin, _time_of(window.begin, options))
        self.index, self.count = window.moment, window.count
        self.moment: PixelFrame | None = None
        self.frames = self._watched(self.frames, window.count)

    def _watched(self, frames: Iterator[PixelFrame], count: int) -> Iterator[PixelFrame]:
        for frame in islice(frames, count):
            if frame.index == self.index:
                self.moment = frame
            yield frame


def _frame_of(options: EditOptions) -> int:
    """Index of the frame of a preview."""
    moment, reading = options.preview, options.reading
    assert moment is not None
    if options.source is None or reading.part is not None:
        raise ValueError(
            "a preview is of a moment of a whole clip; name the clip, and leave out the part of it"
        )
    if kind_of(options.source, reading) in ("camera", "live", "raw"):
        raise ValueError("a preview reads its source twice, and a live one cannot be; name a file")
    if moment.frame is not None:
        return moment.frame
    assert moment.seconds is not None
    with _opened(options) as source:
        return frame_at(source, moment.seconds)


def _time_of(frame: int, options: EditOptions) -> Fraction:
    """Seconds from the first frame of the clip to another."""
    with _opened(options) as source:
        return time_of(source, frame)


@contextmanager
def _opened(options: EditOptions) -> Iterator[FrameSource]:
    """The clip, for its times alone."""
    assert options.source is not None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come when the clip is edited
        source = open_source(options.source, options.reading)
        try:
            yield source
        finally:
            source.close()


def frames_of(options: EditOptions, model: Model, autoencoder: Autoencoder, stack: ExitStack) -> SourceFrames:
    """The frames that an edit reads, or a preview of it.

    Args:
        options: of the edit.
        model: gives the usual resolution.
        autoencoder: the model's.
        stack: closes the source.
    """
    if options.preview is None:
        return SourceFrames(options, model, stack)
    return PreviewSource(options, model, autoencoder, stack)


def output_of(
    options: EditOptions, source: SourceFrames, stack: ExitStack, outputs: Outputs
) -> "EditOutput | PreviewOutput":
    """What an edit writes, or a preview of it.

    Args:
        options: of the edit.
        source: as `frames_of` returned it.
        stack: closes the writers.
        outputs: owns the files.
    """
    if isinstance(source, PreviewSource):
        return PreviewOutput(options, source, outputs)
    return EditOutput(options, source, stack, outputs)


class PreviewOutput:
    """In place of the files of an edit: one picture with source, result and mask side by side.

    Args:
        options: path and size.
        source: gives the size, the moment and its frame.
        outputs: owns the file.
    """

    def __init__(self, options: EditOptions, source: PreviewSource, outputs: Outputs) -> None:
        self._path, self._outputs, self._source = options.output.resolve(), outputs, source
        self._still = StillPictures(source.shown_size if options.keep_source_size else source.size)
        self._written = 0
        self._shown: tuple[UInt8[Tensor, "3 h w"], Tensor, Backdrop | None] | None = None

    def write(self, pictures: Pictures) -> None:
        """Keep the picture of the moment, if it is among those of a block.

        Args:
            pictures: of the next block.

        Raises:
            VideoError: a frame holds NaN.
        """
        check_finite(pictures.finite.wait(), self._written)
        frames, masks = pictures.frames.wait(), pictures.masks.wait()
        place = self._source.index - self._written
        if 0 <= place < len(frames):
            self._shown = frames[place].clone(), masks[place].clone(), pictures.backdrops[place]
        self._written += len(frames)

    def close(self) -> None:
        """Write the picture.

        Raises:
            VideoError: the clip ended before the moment, or the picture cannot be written.
        """
        if self._shown is None or self._source.moment is None:
            raise VideoError("the clip ended before the moment of the preview; name one within the clip")
        rgb, mask, backdrop = self._shown
        source = to_bytes(self._source.moment.shown[None])[0]
        may_change = None if backdrop is None else backdrop.mask
        if may_change is not None:
            rgb = self._still.inside(may_change, rgb, source)
        self._still.save(
            [(source, None), (rgb, None), (rgb, mask)], self._path, self._outputs, edge=may_change
        )
