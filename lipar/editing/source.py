"""The pixel frames that an edit reads, and the size at which the model processes them."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, nullcontext
from fractions import Fraction
from pathlib import Path

from lipar.events import EditOptions
from lipar.files.owner import Outputs
from lipar.files.signals import called_by_interrupt
from lipar.protocols import Autoencoder, Model
from lipar.video import BT709, Colour, PixelFrame, VideoInfo, VideoReader
from lipar.video.frame_sink import FrameSink
from lipar.video.frame_source import FrameSource
from lipar.video.sinks.choose import Written, open_sink
from lipar.video.sound import Sound
from lipar.video.sources.choose import open_source

SYNTHETIC_SIZE = (512, 384)
"""Shape of a generated clip, width and height; its area is the model's own."""
USUAL_FRAME_RATE = Fraction(25)
"""For a file that does not give one."""


class SourceFrames:
    """The pixel frames of the input, from whatever source or generated, and what the writer needs to know about it.

    Args:
        options: the source, and the resolution to process at.
        model: gives the usual resolution.
        stack: closes the source.
    """

    path: Path | None
    """The file, also where the source is a pipe that was copied; None: there is no file that can be read again."""
    info: VideoInfo | None = None
    """None: it is not a file that ffmpeg reads."""
    count: int | None
    """Pixel frames; None where the source does not say."""
    size: tuple[int, int]
    """Width and height to process at, the size of `frames`."""
    shown_size: tuple[int, int]
    """Width and height of the source as it is shown."""
    time_base: Fraction
    """Seconds per unit of `pts`."""
    frame_rate: Fraction
    """Frames per second."""
    colour: Colour = BT709
    sound: Sound | None = None
    """None: there is none."""
    begins: tuple[int, Fraction] = (0, Fraction(0))
    """Index and seconds of the first of `frames`, from where moments and masks are counted; not 0 in a preview."""
    frames: Iterator[PixelFrame]

    def __init__(self, options: EditOptions, model: Model, stack: ExitStack) -> None:
        self._stop: Callable[[], None] | None = None
        if options.source is None:
            self._generate(options, model)
            return
        source = open_source(options.source, options.reading)
        stack.callback(source.close)
        self._open(source, options, model)

    def _generate(self, options: EditOptions, model: Model) -> None:
        from lipar.video.synthetic import FRAME_RATE, synthetic_clip

        self.path, self.count = None, options.synthetic_frames
        self.size = self.shown_size = options.resolution or model_size(model, SYNTHETIC_SIZE)
        self.time_base, self.frame_rate = Fraction(1, FRAME_RATE), Fraction(FRAME_RATE)
        self.frames = synthetic_clip(options.synthetic_frames, *self.size)

    def _open(self, source: FrameSource, options: EditOptions, model: Model) -> None:
        if isinstance(source, VideoReader) and not source.live:
            self.info = source.info
        self.sound, self.count, self.shown_size = source.sound, source.count, source.shown_size
        self.path = None if source.sound is None else source.sound.path
        self.size = source.size = options.resolution or model_size(model, self.shown_size)
        self.time_base, self.frame_rate = source.time_base, source.frame_rate or USUAL_FRAME_RATE
        source.keeps_originals = options.mask is not None and options.keep_source_size
        self.colour, self.frames = source.colour, source
        if source.live:
            self._stop = source.stop

    def ended_by_interrupt(self) -> AbstractContextManager[None]:
        """Within it, the first Ctrl-C ends a live source, and what came of it is edited to its end."""
        return nullcontext() if self._stop is None else called_by_interrupt(self._stop)

    def written_size(self, options: EditOptions) -> tuple[int, int]:
        """Width and height to write at."""
        return self.shown_size if options.keep_source_size else self.size

    def sink(self, path: Path, size: tuple[int, int], options: EditOptions, outputs: Outputs) -> FrameSink:
        """A sink with the timing, the colour space and the sound of the source.

        Args:
            path: of the output; `outputs` owns it if it is a file.
            size: width and height to write at.
            options: encoding.
            outputs: publishes or removes the file.
        """
        frames = Written(
            size=size,
            time_base=self.time_base,
            frame_rate=self.frame_rate,
            colour=self.colour,
            sound=self.sound,
        )
        return open_sink(path, frames, encoding=options.encoding, outputs=outputs, raw=options.raw_output)


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
