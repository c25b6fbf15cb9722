"""Video that is read while it is made: a pipe with a container, and cameras."""

import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from fractions import Fraction
from pathlib import Path

import av

from lipar.video.decoding import Decoder
from lipar.video.errors import VideoError
from lipar.video.reader import VideoReader
from lipar.video.sources.kinds import CAMERA
from lipar.video.sources.stream_input import Container, StreamInput

DEVICES = {"linux": "v4l2", "darwin": "avfoundation", "win32": "dshow"}
"""ffmpeg's name of cameras, by system."""
OTHER_DEVICES = ("v4l2", "avfoundation", "dshow", "x11grab", "gdigrab", "lavfi")
"""Devices that may be named after `camera:`, with a colon behind."""
USUAL_CAMERAS = {"v4l2": "camera:/dev/video0", "avfoundation": "camera:0", "dshow": "camera:video=NAME"}


class LiveReader(VideoReader):
    """A video that is read once, while it is made: its length is not known, and it has no sound.

    Args:
        container: open for reading.
        name: for messages.
        stop: ends a read that waits; None: no read waits for long.
        close: is called at the end; None: nothing else is to be closed.
    """

    live = True
    sound = None  # of a stream that is read once, sound cannot be read again
    count = None  # whatever a container announces

    def __init__(
        self,
        container: av.container.InputContainer,
        name: str,
        *,
        stop: Callable[[], None] | None = None,
        close: Callable[[], None] | None = None,
    ) -> None:
        self._container, self._stop = container, stop
        super().__init__(name)
        if close is not None:
            self._open.callback(close)
        if self.info.has_audio:
            self._warn(f"the sound of {name} is left out, since it is read live; leave out --live to keep it")

    def _as_file(self, path: str | Path) -> AbstractContextManager[Path]:
        return nullcontext(Path(path))

    def _opened(self) -> Decoder:
        decoder = Decoder(self.path, self._container)
        self._open.callback(decoder.close)
        return decoder

    def stop(self) -> None:
        """End the iteration, also where it waits for a frame."""
        super().stop()
        if self._stop is not None:
            self._stop()


def live_pipe(path: Path) -> LiveReader:
    """Read a pipe with a container that needs no seeking: Matroska, WebM, MPEG-TS, FLV, NUT, YUV4MPEG.

    Args:
        path: of the pipe, or `-` for the standard input.

    Raises:
        VideoError: it is no such container, or not one frame can be decoded.
    """
    stream = StreamInput(path)
    try:
        container = av.open(Container(stream), "r", metadata_errors="replace")
        return LiveReader(container, stream.name, stop=stream.stop, close=stream.close)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        stream.close()
        # a VideoError is a ValueError: a container was found, and no frame that could be decoded as it came
        reason = getattr(error, "strerror", None) or str(error)
        raise VideoError(
            f"{stream.name} cannot be read live ({reason}); send Matroska, MPEG-TS or YUV4MPEG, name the format of raw "
            "video by --raw, or leave out --live, for all of it to be copied to a temporary file first"
        ) from error
    except BaseException:  # Ctrl-C
        stream.close()
        raise


def camera(name: str, frame_rate: Fraction | None = None) -> LiveReader:
    """Read a camera, through ffmpeg's devices.

    Frames that the camera makes while nobody takes one are dropped by it; the others keep their times.

    Args:
        name: `camera:` and the device, such as `camera:/dev/video0`; a kind of device may be named before it, such as
            `camera:x11grab::0`.
        frame_rate: what to ask the device for; None: its own.

    Raises:
        VideoError: it cannot be opened, or gives no frame.
    """
    kind, device = device_of(name)
    options = {} if frame_rate is None or kind == "lavfi" else {"framerate": str(frame_rate)}
    try:
        container = av.open(device, "r", format=kind, options=options)
    except (av.error.FFmpegError, OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        usual = USUAL_CAMERAS.get(kind)
        raise VideoError(
            f"the camera {device!r} cannot be read by {kind} ({reason}); is it connected, free, and may you use it?"
            + (f" Usual names are such as {usual}" if usual else "")
        ) from error
    return LiveReader(container, device)


def device_of(name: str) -> tuple[str, str]:
    """The kind of a device, by ffmpeg's name, and its name there.

    Args:
        name: as for `camera`.

    Raises:
        VideoError: no device is named, or none is known for this system.
    """
    device = name.removeprefix(CAMERA)
    kind, colon, rest = device.partition(":")
    if colon and kind in OTHER_DEVICES:
        device = rest
    else:
        kind = DEVICES.get(sys.platform, "")
    if not device or not kind:
        raise VideoError(
            f"{name} names no camera; write {CAMERA}DEVICE, for instance {USUAL_CAMERAS['v4l2']}"
        )
    return kind, device
