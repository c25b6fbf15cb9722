"""Video files for tests, as cameras, editors and broken disks make them."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
from torch import Tensor

from lipar.video.colour import Colour


def moving_gradient(frames: int, width: int, height: int) -> list[Tensor]:
    """Smooth frames, uint8 `3 h w`, all different, which a codec changes very little."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    pictures = []
    for index in range(frames):
        level = torch.full_like(rows, index / max(1, frames - 1))
        pictures.append(torch.stack((columns, rows, level)).mul(200).add(20).to(torch.uint8))
    return pictures


def corners(width: int, height: int) -> Tensor:
    """A picture, uint8 `3 h w`, whose orientation can be seen: red, green / blue, white."""
    picture = torch.zeros(3, height, width, dtype=torch.uint8)
    top, left = height // 2, width // 2
    picture[0, :top, :left] = 255
    picture[1, :top, left:] = 255
    picture[2, top:, :left] = 255
    picture[:, top:, left:] = 255
    return picture


def _picture(rgb: Tensor, pixel_format: str) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(rgb.permute(1, 2, 0).numpy()), "rgb24")
    return frame.reformat(format=pixel_format)


def yuv_picture(
    planes: Sequence[Sequence[Sequence[int]]], pixel_format: str, bit_depth: int = 8
) -> av.VideoFrame:
    """A decoder's picture with exactly these numbers in its planes."""
    rows = [np.array(plane, np.uint8 if bit_depth == 8 else np.dtype("<u2")) for plane in planes]
    height, width = rows[0].shape
    frame = av.VideoFrame(width, height, pixel_format)
    for plane, values in zip(frame.planes, rows):
        padded = np.zeros((values.shape[0], plane.line_size // values.itemsize), values.dtype)
        padded[:, : values.shape[1]] = values
        plane.update(padded.tobytes())
    return frame


def make_video(
    path: Path,
    pictures: Sequence[Tensor | av.VideoFrame],
    *,
    pts: Sequence[int] | None = None,
    time_base: Fraction = Fraction(1, 24),
    codec: str = "libx264",
    pixel_format: str = "yuv420p",
    options: dict[str, str] | None = None,
    colour: Colour | None = None,
    matrix_code: int | None = None,
    rotation: int = 0,
    sample_aspect_ratio: Fraction | None = None,
    audio: str | None = None,
    audio_rate: int = 48000,
    audio_start: Fraction = Fraction(0),
    audio_layout: str = "stereo",
    seconds: float = 1.0,
    subtitles: str | None = None,
    metadata: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """Write a video, and a tone if asked for, with PyAV alone and nothing of lipar; gives its path.

    Args:
        path: of the file; the extension decides the container.
        pictures: RGB `3 h w` bytes, or decoder's pictures.
        pts: when each is shown; one tick apart if left out.
        time_base: seconds per tick.
        codec: ffmpeg's name of the encoder.
        pixel_format: that the codec stores.
        options: for the encoder; lossless H.264 if left out.
        colour: matrix, range and tags to write; no tags at all if left out. The pictures are not converted.
        matrix_code: an H.273 number for the matrix instead of that of `colour`.
        rotation: degrees clockwise by which players turn the picture.
        sample_aspect_ratio: width of a pixel over its height.
        audio: encoder of a 440 Hz tone, None for silence.
        audio_rate: samples per second.
        audio_start: seconds at which the tone begins.
        audio_layout: which channels the tone has.
        seconds: how long the tone lasts.
        subtitles: codec of two lines of text in German, at 0.25 and 0.5 s; None for none.
        metadata: of the stream of pictures.
        container_options: for the muxer.
    """
    frames = [item if isinstance(item, av.VideoFrame) else _picture(item, pixel_format) for item in pictures]
    lossless = {"qp": "0", "preset": "ultrafast"} if codec == "libx264" else {}
    with av.open(str(path), "w", options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=24, options=lossless if options is None else options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = frames[0].width, frames[0].height, pixel_format
        stream.codec_context.time_base = stream.time_base = time_base
        if colour is not None:
            _tag(stream, colour, matrix_code)
        if sample_aspect_ratio is not None:
            stream.codec_context.sample_aspect_ratio = sample_aspect_ratio
        stream.metadata.update(metadata or {})
        if rotation:
            stream.set_display_rotation(-rotation)  # counterclockwise in ffmpeg
        tone = _add_tone(container, audio, audio_rate, audio_layout) if audio else None
        text = container.add_mux_stream(subtitles) if subtitles else None
        if text is not None:
            text.metadata["language"] = "ger"
        for index, frame in enumerate(frames):
            frame.pts, frame.time_base = (index if pts is None else pts[index]), time_base
            if colour is not None:
                frame.colorspace = stream.codec_context.colorspace
                frame.color_range = stream.codec_context.color_range
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if text is not None:
            _write_subtitles(container, text, subtitles or "")
        if tone is not None:
            _write_tone(container, tone, audio_rate, audio_start, seconds)
    return path


def _tag(stream: av.VideoStream, colour: Colour, matrix_code: int | None) -> None:
    from lipar.video.colour import MATRIX_CODES

    context = stream.codec_context
    context.colorspace = MATRIX_CODES[colour.matrix] if matrix_code is None else matrix_code
    context.color_range = 2 if colour.full_range else 1
    context.color_primaries, context.color_trc = colour.primaries, colour.transfer


def _add_tone(
    container: av.container.OutputContainer, codec: str, rate: int, layout: str = "stereo"
) -> av.AudioStream:
    stream = container.add_stream(codec, rate=rate, layout=layout, options={"strict": "-2"})
    assert isinstance(stream, av.AudioStream)
    return stream


def _write_tone(
    container: av.container.OutputContainer,
    stream: av.AudioStream,
    rate: int,
    start: Fraction,
    seconds: float,
) -> None:
    count = int(seconds * rate)
    wave = (0.4 * np.sin(2 * np.pi * 440 * np.arange(count) / rate)).astype(np.float32)
    block = 960
    for first in range(0, count, block):
        frame = av.AudioFrame.from_ndarray(wave[None, first : first + block], "flt", "mono")
        frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
        frame.pts = int(start * rate) + first
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


SUBTITLES = ("Guten Tag", "Auf Wiedersehen")


def _write_subtitles(container: av.container.OutputContainer, stream: av.stream.Stream, codec: str) -> None:
    for index, line in enumerate(SUBTITLES):
        data = line.encode()
        if codec == "mov_text":
            data = len(data).to_bytes(2) + data
        packet = av.Packet(data)
        packet.stream, packet.time_base = stream, Fraction(1, 1000)
        packet.pts = packet.dts = 250 + 250 * index
        packet.duration = 200
        container.mux(packet)


def copy_video(source: Path, target: Path, **options: Any) -> Path:
    """Read a video and write its pictures, sound and subtitles to another file; gives its path."""
    from lipar.video.reader import VideoReader
    from lipar.video.writer import VideoWriter

    with (
        VideoReader(source) as reader,
        VideoWriter.like(target, reader.info, audio_from=reader.path, **options) as writer,
    ):
        for frame in reader:
            writer.write(frame.rgb, pts=frame.pts, duration=frame.duration)
    return target


def join(path: Path, *parts: Path) -> Path:
    """Concatenate files, as `cat` does; gives the path of the result."""
    path.write_bytes(b"".join(part.read_bytes() for part in parts))
    return path


def cut(path: Path, share: float = 0.5) -> Path:
    """Cut a file off after a share of its bytes, as an interrupted copy does; gives its path."""
    data = path.read_bytes()
    path.write_bytes(data[: round(share * len(data))])
    return path


def make_audio(path: Path, codec: str = "aac") -> Path:
    """Write a file with sound only."""
    with av.open(str(path), "w") as container:
        _write_tone(container, _add_tone(container, codec, 48000), 48000, Fraction(0), 0.5)
    return path
