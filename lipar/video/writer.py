"""Writing of video files with exact timestamps, correct colours and the source's sound."""

from fractions import Fraction
from pathlib import Path

import av
from av.video.reformatter import VideoReformatter
from torch import Tensor

from lipar.files.owner import Outputs
from lipar.files.places import CONTAINERS, check_writable
from lipar.video.colour import BT709, Colour
from lipar.video.convert import rgb_to_frame, to_bytes
from lipar.video.encoders import add_video_stream, written_format
from lipar.video.encoding import DEFAULT_ENCODING, Encoding
from lipar.video.errors import VideoError, explain
from lipar.video.frame_sink import OrderedSink
from lipar.video.info import VideoInfo
from lipar.video.packets import VideoPacket
from lipar.video.sound import Sound
from lipar.video.tracks import PRIMING, SourceTracks

AUDIO_LEAD = Fraction(1, 2)  # seconds of sound written ahead of the pictures, as players expect
LEAST_TIMESCALE = 10_000  # ticks per second that players expect in an mp4
MOST_TICKS = 2**31 - 1  # as containers count them
LATE_START = 1  # seconds; a video that begins later is on a broadcast clock


class VideoWriter(OrderedSink):
    """A context manager that writes frames, each shown at the pts it is given, as a video.

    The file is made by `with`, or by the first `write`. It gets its name when everything is written; an exception,
    Ctrl-C included, leaves nothing behind. Inside `Outputs`, as in `lipar edit`, SIGTERM is an exception as well.
    Odd sizes are written as 4:4:4, since 4:2:0 has no odd sizes (not every player shows 4:4:4).
    Timestamps are exact in .mp4 and .mov; .mkv rounds them to milliseconds. If pictures and sound begin before 0 or
    later than a second (a broadcast clock), they are shifted together, so that the earlier of them starts at 0.

    Args:
        path: ends in .mp4, .mov, .mkv or .webm.
        width: columns of the video; frames of another size are scaled to it.
        height: rows of the video.
        time_base: seconds per tick of the pts.
        frame_rate: frames per second on average; pts decide when a frame is shown, this tunes the encoder.
        colour: matrix and tags to write; always limited range.
        audio_from: a file whose sound is copied, or encoded as AAC where the container cannot contain it, and whose
            subtitles are copied where the container can contain them; or a part of it (`Sound`). A warning names what
            is left out.
        encoding: codec, speed and quality.
        outputs: the owner of the file, whose `publish` gives all its files their names; None: `close` does.

    Raises:
        VideoError: as `check_writable`, and when writing fails.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        width: int,
        height: int,
        time_base: Fraction,
        frame_rate: Fraction | None = None,
        colour: Colour = BT709,
        audio_from: Sound | str | Path | None = None,
        encoding: Encoding = DEFAULT_ENCODING,
        outputs: Outputs | None = None,
    ) -> None:
        if width < 1 or height < 1:
            raise VideoError(f"a video needs a positive width and height, got {width}x{height}")
        if time_base <= 0 or time_base.denominator > MOST_TICKS:
            raise VideoError(f"time_base must be positive and at least 1/{MOST_TICKS} s, got {time_base}")
        self._sound = None if audio_from is None else Sound.of(audio_from)
        self.path = self._checked(Path(path))
        encoding.check_container(self.path)
        self.size = (width, height)
        self.time_base = time_base
        self.frames_written = 0
        self._colour = colour.for_writing() if not encoding.lossless_rgb else colour.for_rgb()
        self.pixel_format = written_format(encoding, self.size)
        self._shift = 0
        self._durations: dict[int | None, int] = {}  # of pictures in the encoder, by pts
        self._scaler = VideoReformatter()
        self._tracks: SourceTracks | None = None
        self._frame_rate, self._encoding = frame_rate, encoding
        self._owned = outputs is None
        self._outputs = outputs or Outputs()
        self._opened, self._closed = False, False

    def open(self) -> None:
        """Make the file and write its header, so that wrong options or sound are noticed before the long work.

        Raises:
            VideoError: the writer is closed, another run is writing there, or writing fails.
        """
        if self._closed:
            raise VideoError(f"{self.path.name} is closed; frames can only be written before")
        if self._opened:
            return
        self._opened = True
        try:
            self._container = self._open_container()
            self._stream = add_video_stream(
                self._container,
                self._encoding,
                size=self.size,
                time_base=self.time_base,
                frame_rate=self._frame_rate,
                colour=self._colour,
            )
            if self._sound is not None:
                self._tracks = SourceTracks(self._sound, self._container, self.path.name)
            self._container.start_encoding()
        except (OSError, av.error.FFmpegError) as error:
            self.abort()
            raise self._explained(error) from error
        except BaseException:
            self.abort()
            raise

    @classmethod
    def like(
        cls,
        path: str | Path,
        info: VideoInfo,
        *,
        size: tuple[int, int] | None = None,
        audio_from: str | Path | None = None,
        encoding: Encoding = DEFAULT_ENCODING,
    ) -> "VideoWriter":
        """A writer for a video with the size, timing and colour of a source, and other pictures.

        Args:
            path: as for the class.
            info: properties of the source.
            size: width and height; None: those of the source.
            audio_from: as for the class.
            encoding: as for the class.
        """
        width, height = size or (info.width, info.height)
        return cls(
            path,
            width=width,
            height=height,
            time_base=info.time_base,
            frame_rate=info.frame_rate,
            colour=info.colour,
            audio_from=audio_from,
            encoding=encoding,
        )

    def _checked(self, path: Path) -> Path:
        return check_writable(path, source=None if self._sound is None else self._sound.path)

    def _explained(self, error: Exception, frames: int | None = None) -> Exception:
        return explain(error, self.path.parent, frames)

    def _open_container(self) -> av.container.OutputContainer:
        unfinished = self._outputs.claim(self.path)
        name = CONTAINERS[self.path.suffix.lower()]
        options = {}
        if name in ("mp4", "mov"):
            # the same clock for the pictures and for their start in the edit list, which is in milliseconds otherwise
            scale = self.time_base.denominator
            while scale < LEAST_TIMESCALE:
                scale *= 2
            options = {"video_track_timescale": str(scale), "movie_timescale": str(scale)}
        return av.open(f"file:{unfinished}", "w", format=name, options=options)

    def write(self, rgb: Tensor, *, pts: int, duration: int = 0) -> None:
        """Write one picture.

        Args:
            rgb: `3 h w` on any device, uint8 0..255 or floating point 0..1 (clamped); scaled to the video's size.
            pts: when it is shown, in ticks of `time_base`; later than the picture before.
            duration: how long it is shown, in ticks; used for the last picture only.

        Raises:
            VideoError: it is no picture, holds NaN, comes too early, or writing fails.
        """
        self.open()
        self.write_picture(self.picture(rgb), pts=pts, duration=duration)

    def picture(self, rgb: Tensor) -> av.VideoFrame:
        """A picture as it is written: at the video's size, in YUV or RGB, planar with 8 bits.

        Args:
            rgb: as for `write`.

        Raises:
            VideoError: it is no picture, or holds NaN.
        """
        if rgb.ndim != 3 or rgb.shape[0] != 3:
            raise VideoError(f"a frame must be RGB '3 h w', got {list(rgb.shape)}")
        bytes_ = to_bytes(rgb[None], self.frames_written)[0]
        return rgb_to_frame(bytes_, self._colour, self.size, self.pixel_format, self._scaler)

    def write_picture(self, picture: av.VideoFrame, *, pts: int, duration: int = 0) -> None:
        """Write what `picture` returned, of this writer or of another of the same size and colour.

        Args:
            picture: its times are set.
            pts: as for `write`.
            duration: as for `write`.

        Raises:
            VideoError: it comes too early, or writing fails.
        """
        self.open()
        self._check_time(pts)
        if self.frames_written == 0:
            self._set_clock(pts)
        picture.pts = pts + self._shift
        picture.duration = duration
        picture.time_base = self.time_base
        if duration:
            self._durations[picture.pts] = duration
        try:
            if self._tracks is not None:
                self._tracks.write_until(picture.pts * self.time_base + AUDIO_LEAD)
            self._mux(self._stream.encode(picture))
        except (OSError, av.error.FFmpegError) as error:
            self.abort()
            raise self._explained(error, self.frames_written) from error
        self._last_pts = pts
        self.frames_written += 1

    def _set_clock(self, pts: int) -> None:
        """Shift pictures and sound so that the earlier of them begins at 0, if it begins before 0 or late."""
        begin = pts * self.time_base
        if self._tracks is not None and self._tracks.begin is not None:
            sound = self._tracks.begin
            # sound that a decoder needs to start is cut off by every player
            begin = min(begin, Fraction(0) if -PRIMING <= sound < 0 else sound)
        if 0 <= begin <= LATE_START:
            return
        self._shift = -round(begin / self.time_base)
        if self._tracks is not None:
            self._tracks.shift = self._shift * self.time_base

    def _mux(self, packets: list[VideoPacket]) -> None:
        for packet in packets:
            # x264 passes durations on, SVT-AV1 does not
            packet.duration = self._durations.pop(packet.pts, packet.duration)
        self._container.mux(packets)

    def close(self) -> None:
        """Finish the file and, unless `outputs` was given, give it its name; it may be closed twice."""
        if self._closed:
            return
        try:
            if self.frames_written == 0:
                raise VideoError(f"no frame was written, so that there is no {self.path.name}")
            self._mux(self._stream.encode(None))
            if self._tracks is not None:
                self._tracks.finish()
            self._container.close()
            if self._owned:
                self._outputs.publish()
        except (OSError, av.error.FFmpegError) as error:
            raise self._explained(error, self.frames_written) from error
        finally:
            self.abort()

    def abort(self) -> None:
        """Remove the unfinished file. After `close` this does nothing."""
        if self._closed:
            return
        self._closed = True
        try:
            if self._tracks is not None:
                self._tracks.close()
            if hasattr(self, "_container"):
                self._container.close()
        except (OSError, av.error.FFmpegError):
            pass  # a full disk fails here again; the file is removed anyway
        finally:
            if self._owned:
                self._outputs.discard()
