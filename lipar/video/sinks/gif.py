"""GIF animations, each picture with the palette that fits it best."""

from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from typing import cast

import av
from av.filter import Graph

from lipar.files.owner import Outputs
from lipar.files.places import check_writable
from lipar.video.colour import Colour
from lipar.video.errors import explain
from lipar.video.sinks.pictures import PictureSink

TICK = Fraction(1, 100)
"""Seconds of GIF's clock."""
LEAST_TICKS = 2
"""Viewers show a picture of fewer ticks for ten."""
RATE = 50
PALETTE = "palettegen=stats_mode=single", "paletteuse=new=1:dither=sierra2_4a"


class GifWriter(PictureSink):
    """Writes a GIF that repeats for ever, with times rounded to hundredths of a second.

    Args:
        path: ends in .gif.
        size: width and height.
        time_base: seconds per tick of the pts.
        outputs: owns the file, and publishes it.

    Raises:
        VideoError: as `check_writable`.
    """

    def __init__(self, path: Path, size: tuple[int, int], *, time_base: Fraction, outputs: Outputs) -> None:
        self.path = check_writable(path, suffixes=(".gif",))
        self._time_base, self._outputs = time_base, outputs
        self._origin: int | None = None
        self._next_tick = 0
        super().__init__(self.path.name, size, pixel_format="gbrp", colour=Colour().for_rgb())

    def _begin(self) -> None:
        try:
            unfinished = self._outputs.claim(self.path)
            self._container = av.open(f"file:{unfinished}", "w", format="gif", options={"loop": "0"})
            stream = self._container.add_stream("gif", rate=RATE)
            stream.width, stream.height = self.size
            stream.pix_fmt, stream.time_base = "pal8", TICK
            stream.codec_context.time_base = TICK
            self._container.start_encoding()
        except (OSError, av.error.FFmpegError) as error:
            raise explain(error, self.path.parent) from error
        self._stream = stream

    def _put(self, picture: av.VideoFrame, pts: int, duration: int) -> None:
        self._origin = pts if self._origin is None else self._origin
        tick = max(round((pts - self._origin) * self._time_base / TICK), self._next_tick)
        self._next_tick = tick + LEAST_TICKS
        with_palette = _with_palette(picture)
        with_palette.pts, with_palette.time_base = tick, TICK
        # the container uses it for the last picture, after which none comes
        self._mux(with_palette, max(LEAST_TICKS, round(duration * self._time_base / TICK)))

    def _mux(self, picture: av.VideoFrame | None, duration: int = 0) -> None:
        try:
            for packet in self._stream.encode(picture):
                packet.duration = duration
                self._container.mux(packet)
        except (OSError, av.error.FFmpegError) as error:
            raise explain(error, self.path.parent, self.frames_written) from error

    def _finish(self) -> None:
        self._mux(None)
        try:
            self._container.close()
        except (OSError, av.error.FFmpegError) as error:
            raise explain(error, self.path.parent, self.frames_written) from error

    def _drop(self) -> None:
        if hasattr(self, "_container"):
            with suppress(OSError, av.error.FFmpegError):  # a full disk; the file is removed anyway
                self._container.close()


def _with_palette(picture: av.VideoFrame) -> av.VideoFrame:
    """The picture in 256 colours of its own, by ffmpeg's filters."""
    graph = Graph()
    source = graph.add_buffer(
        width=picture.width, height=picture.height, format=picture.format, time_base=TICK
    )
    split, sink = graph.add("split"), graph.add("buffersink")
    (make, make_options), (use, use_options) = (one.split("=", 1) for one in PALETTE)
    palette, paletted = graph.add(make, make_options), graph.add(use, use_options)
    source.link_to(split)
    split.link_to(palette, 0, 0)
    split.link_to(paletted, 1, 0)
    palette.link_to(paletted, 0, 1)
    paletted.link_to(sink)
    graph.configure()
    graph.push(picture)
    graph.push(None)
    return cast(av.VideoFrame, graph.pull())
