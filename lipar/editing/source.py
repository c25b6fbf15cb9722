"""The pixel frames that an edit reads, and the size at which the model processes them."""

from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

from lipar.events import EditOptions
from lipar.files.owner import Outputs
from lipar.protocols import Autoencoder, Model
from lipar.video import BT709, PixelFrame, VideoInfo, VideoReader, VideoWriter
from lipar.video.encoding import Encoding

SYNTHETIC_SIZE = (512, 384)
"""Shape of a generated clip, width and height; its area is the model's own."""
USUAL_FRAME_RATE = Fraction(25)
"""For a file that does not give one."""


class SourceFrames:
    """The pixel frames of the input, from a file or generated, and what the writer needs to know about it.

    Args:
        options: the source, and the resolution to process at.
        model: gives the usual resolution.
        stack: closes the reader.
    """

    path: Path | None
    """The file, also where the source is a pipe; None: a generated clip."""
    info: VideoInfo | None = None
    """None: a generated clip."""
    count: int | None
    """Pixel frames; None where the file does not say."""
    size: tuple[int, int]
    """Width and height to process at, the size of `frames`."""
    shown_size: tuple[int, int]
    """Width and height of the source as it is shown."""
    time_base: Fraction
    """Seconds per unit of `pts`."""
    frame_rate: Fraction
    """Frames per second."""
    frames: Iterator[PixelFrame]

    def __init__(self, options: EditOptions, model: Model, stack: ExitStack) -> None:
        if options.source is None:
            self._generate(options, model)
        else:
            self._open(stack.enter_context(VideoReader(options.source)), options, model)

    def _generate(self, options: EditOptions, model: Model) -> None:
        from lipar.video.synthetic import FRAME_RATE, synthetic_clip

        self.path, self.count = None, options.synthetic_frames
        self.size = self.shown_size = options.resolution or model_size(model, SYNTHETIC_SIZE)
        self.time_base, self.frame_rate = Fraction(1, FRAME_RATE), Fraction(FRAME_RATE)
        self.frames = synthetic_clip(options.synthetic_frames, *self.size)

    def _open(self, reader: VideoReader, options: EditOptions, model: Model) -> None:
        info = reader.info
        self.path, self.info, self.count = reader.path, info, info.frame_count
        self.shown_size = (info.width, info.height)
        self.size = reader.size = options.resolution or model_size(model, self.shown_size)
        self.time_base, self.frame_rate = info.time_base, info.frame_rate or USUAL_FRAME_RATE
        reader.keeps_originals = options.mask is not None and options.keep_source_size
        self.frames = reader

    def written_size(self, options: EditOptions) -> tuple[int, int]:
        """Width and height to write at."""
        return self.shown_size if options.keep_source_size else self.size

    def writer(self, path: Path, size: tuple[int, int], outputs: Outputs, encoding: Encoding) -> VideoWriter:
        """A writer with the timing, the colour space and the sound of the source.

        Args:
            path: the file, owned by `outputs`.
            size: width and height to write at.
            outputs: publishes or removes the file.
            encoding: codec, speed and quality.
        """
        return VideoWriter(
            path,
            width=size[0],
            height=size[1],
            time_base=self.time_base,
            frame_rate=self.frame_rate,
            colour=self.info.colour if self.info else BT709,
            audio_from=self.path,
            encoding=encoding,
            outputs=outputs,
        )


def model_size(model: Model, shown: tuple[int, int]) -> tuple[int, int]:
    """Width and height in pixels near the model's own area and the source's shape, in whole tokens.

    Args:
        model: gives the area, `home_pixels`.
        shown: width and height of the source.
    """
    token = model.patch_size * (model.autoencoder.spatial_factor if model.autoencoder else 1)
    width, height = shown
    scale = (model.home_pixels / (width * height)) ** 0.5
    return max(2, round(width * scale / token)) * token, max(2, round(height * scale / token)) * token


def check_resolution(size: tuple[int, int], model: Model, autoencoder: Autoencoder) -> None:
    """Refuse a resolution that does not divide into whole tokens.

    Raises:
        ValueError: it does not, or is less than two tokens wide or high.
    """
    token = model.patch_size * autoencoder.spatial_factor
    if size[0] % token or size[1] % token or min(size) < 2 * token:
        raise ValueError(
            f"a resolution of {size[0]}x{size[1]} does not divide into tokens of {token}x{token} pixels; "
            f"take multiples of {token}, at least {2 * token}"
        )
