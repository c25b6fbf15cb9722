"""Reading of video files: lazily, frame by frame, as a player shows them."""

import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from fractions import Fraction
from pathlib import Path
from types import TracebackType

import av
from av.video.reformatter import VideoReformatter

from lipar.video.colour import Colour
from lipar.video.convert import frame_to_rgb, has_alpha, on_black, set_colour
from lipar.video.decoding import Decoder
from lipar.video.errors import VideoError, VideoWarning
from lipar.video.frames import PixelFrame
from lipar.video.info import VideoInfo, describe
from lipar.video.part_times import PartTimes
from lipar.video.sound import Sound
from lipar.video.sources.part import Part
from lipar.video.spool import seekable

HUGE_PIXELS = 4096 * 2304
"""Frames of more pixels than 4K give a warning; a float32 RGB copy takes twelve bytes per pixel."""


class VideoReader:
    """A context manager and iterator over the frames of a video file: one pass, a frame or two in memory.

    Frames are upright, with square pixels, RGB (see `PixelFrame`), and each keeps its own pts: nothing is
    dropped or repeated to reach an even rate. What cannot be decoded is left out with a `VideoWarning`.

    Args:
        path: any video that PyAV reads; a picture is a video of one frame, with a warning. A pipe, or `-` for the
            standard input, is copied to a temporary file first, whose path is the attribute of this name.
        size: width and height to scale to while decoding; None: the size as shown. The attribute of this name
            may be set before the first frame is read, for a size that depends on `info`.
        part: only these frames, whose times begin at 0; the file is read from the key frame before them. None: all.

    Attributes:
        keeps_originals: set it before the first frame is read to get scaled frames with their originals.

    Raises:
        VideoError: the file is missing, empty, no video, or not one frame of it can be decoded; or none is in the part.
    """

    live = False

    def __init__(
        self, path: str | Path, *, size: tuple[int, int] | None = None, part: Part | None = None
    ) -> None:
        if size is not None and min(size) < 1:
            raise VideoError(f"size must be a positive width and height, got {size[0]}x{size[1]}")
        self._open = ExitStack()
        try:
            self.path = self._open.enter_context(self._as_file(path))
            self._decoder = self._opened()
            self._pictures = iter(self._decoder)
            first = next(self._pictures, None)
            if first is None:
                raise VideoError(self._decoder.no_frame_message())
            self.info: VideoInfo = describe(
                self._decoder.container,
                None if self.live else self.path,
                self._decoder.stream,
                first,
                self._decoder.still,
            )
            self.time_base = self.info.time_base
            pts = self._decoder.pts_of(first)
            self._part = None if part is None else PartTimes.of(part, self.path, self.info, pts)
            if self._part is not None:
                first, pts = self._go_to(self._part, first, pts)
            self._origin = 0 if part is None else pts
        except BaseException:
            self.close()
            raise
        self.size = size or (self.info.width, self.info.height)
        self.keeps_originals = self._stopped = False
        self._scaler, self._alpha_scaler = VideoReformatter(), VideoReformatter()
        self._original_scaler = VideoReformatter()
        self._transparent = self._resized = False
        self._warn_of_the_unusual()
        self._frames = self._read(first, pts)

    def _as_file(self, path: str | Path) -> AbstractContextManager[Path]:
        return seekable(path)

    def _opened(self) -> Decoder:
        decoder = Decoder(self.path)
        self._open.callback(decoder.close)
        return decoder

    def _go_to(self, part: PartTimes, first: av.VideoFrame, pts: int) -> tuple[av.VideoFrame, int]:
        """The first picture of a part, and its time; those after it are next.

        Args:
            part: of the file.
            first: its first picture.
            pts: of that.
        """
        found: tuple[av.VideoFrame, int] | None = (first, pts)
        if pts >= part.begin:
            self._decoder.expect_a_part()
        else:
            found = self._next_from(part.begin, sought=True) if self._decoder.seek(part.begin) else None
            if found is None:  # where a file cannot be sought in, all before the part is decoded
                self._decoder = self._opened()
                self._decoder.expect_a_part()
                found = self._next_from(part.begin, sought=False)
        if found is None or (part.end is not None and found[1] >= part.end):
            raise VideoError(f"{self.path.name} has no frame in the part {part.part}")
        return found

    def _next_from(self, begin: int, *, sought: bool) -> tuple[av.VideoFrame, int] | None:
        """The first picture at or after a time; None: there is none, or the file was sought to a place after it."""
        self._pictures = iter(self._decoder)
        whole = not sought
        for picture in self._pictures:
            pts = self._decoder.pts_of(picture)
            if pts >= begin:
                self._decoder.expect_a_part()  # counted from here on: pictures before were read and are not missing
                return (picture, pts) if whole or pts == begin else None
            whole = True
        return None

    @property
    def name(self) -> str:
        """Of the file, for messages."""
        return self.path.name

    @property
    def shown_size(self) -> tuple[int, int]:
        """Width and height as a player shows it."""
        return self.info.width, self.info.height

    @property
    def count(self) -> int | None:
        """Frames to come, from the container or estimated; None where neither is given."""
        return self.info.frame_count if self._part is None else self._part.count

    @property
    def frame_rate(self) -> Fraction | None:
        """Frames per second on average, None when unknown; frames need not be evenly spaced."""
        return self.info.frame_rate

    @property
    def colour(self) -> Colour:
        """Matrix, range and tags."""
        return self.info.colour

    @property
    def sound(self) -> Sound | None:
        """The file, of which the same part is heard."""
        if self._part is None:
            return Sound(self.path)
        end = None if self._part.end is None else self._part.end * self.time_base
        return Sound(self.path, self._origin * self.time_base, end)

    def _warn_of_the_unusual(self) -> None:
        info, name = self.info, self.path.name
        width, height = info.coded_size
        if width * height > HUGE_PIXELS:
            gigabytes = 12 * width * height / 1e9
            self._warn(
                f"{name} is {width}x{height}: each frame takes {gigabytes:.1f} GB of memory and its time; "
                "scale the video down first if this is too slow"
            )
        if info.colour.hdr:
            self._warn(
                f"{name} is HDR, transfer {info.colour.hdr}: it is used without tone mapping, so that "
                "colours may look flat to the model; convert it to SDR first for the best result"
            )
        for said in info.not_honoured:
            self._warn(f"{name} is {said}")
        if info.still:
            self._warn(f"{name} is a picture; it is read as a video of one frame")

    def _warn(self, message: str) -> None:
        warnings.warn(message, VideoWarning, stacklevel=4)

    def _read(self, first: av.VideoFrame, pts: int) -> Iterator[PixelFrame]:
        # one frame of look-ahead: a duration is the distance to the next pts; those in containers are not reliable when
        # the rate varies or frames are stored out of order
        picture: av.VideoFrame | None = first
        index = duration = 0
        while picture is not None:
            if self._stopped or (self._part and self._part.end is not None and pts >= self._part.end):
                return
            following = next(self._pictures, None)
            if following is None:
                next_pts = pts + self._decoder.usual_duration(picture)
            else:
                next_pts = self._decoder.pts_of(following)
                self._decoder.losses.squeezed += next_pts <= pts
                next_pts = max(next_pts, pts + 1)
            duration = next_pts - pts
            yield self._convert(picture, pts - self._origin, duration, index)
            self._decoder.losses.note(
                pts * self.time_base, duration * self.time_base, followed=following is not None
            )
            picture, pts, index = following, next_pts, index + 1
        problem = self._decoder.problems()
        if problem is not None:
            self._warn(problem)
        if self._part is not None and self._part.is_cut_short(pts, duration):
            self._warn(
                f"{self.path.name} ends before the part {self._part.part}; {index} frames of it were read"
            )

    def _convert(self, picture: av.VideoFrame, pts: int, duration: int, index: int) -> PixelFrame:
        turn = self.info.orientation
        stored = (picture.width, picture.height)
        if stored != self.info.coded_size and not self._resized:
            self._resized = True
            self._warn(
                f"{self.path.name} changes its size from {self.info.coded_size[0]}x{self.info.coded_size[1]} to "
                f"{stored[0]}x{stored[1]} at frame {index}; all frames are scaled to the first size"
            )
        picture = self._opaque(picture)
        rgb = frame_to_rgb(picture, self.info.colour, turn.size(*self.size), self._scaler)
        original, shown = None, (self.info.width, self.info.height)
        if self.keeps_originals and shown != self.size:
            original = turn.apply(
                frame_to_rgb(picture, self.info.colour, turn.size(*shown), self._original_scaler)
            )
        return PixelFrame(
            rgb=turn.apply(rgb),
            pts=pts,
            duration=duration,
            time_base=self.time_base,
            index=index,
            original=original,
        )

    def _opaque(self, picture: av.VideoFrame) -> av.VideoFrame:
        if not has_alpha(picture):
            return picture
        set_colour(picture, self.info.colour)
        shown = on_black(picture, self._alpha_scaler)
        if shown is None:
            return picture
        if not self._transparent:
            self._transparent = True
            self._warn(f"{self.path.name} is transparent in places; they are shown on black")
        return shown

    def __iter__(self) -> "VideoReader":
        return self

    def __next__(self) -> PixelFrame:
        return next(self._frames)

    def take(self, count: int) -> list[PixelFrame]:
        """The next `count` frames, fewer at the end of the video, none after it."""
        return [frame for _, frame in zip(range(count), self)]

    def stop(self) -> None:
        """End the iteration at the next frame."""
        self._stopped = True

    def close(self) -> None:
        """Close the file; it may be closed twice."""
        self._open.close()

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def probe(path: str | Path) -> VideoInfo:
    """Properties of a video file, whose first frame is decoded as a check.

    Raises:
        VideoError: as `VideoReader`.
    """
    with VideoReader(path) as reader:
        return reader.info
