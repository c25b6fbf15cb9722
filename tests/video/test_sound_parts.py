"""The sound of a part of a clip is in sync with its pictures."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from lipar.video import VideoReader, VideoWriter
from lipar.video.encoding import Encoding
from lipar.video.sources.part import Part

RATE = 48_000
CLICKS = (1.0, 2.5, 4.0)
"""Seconds at which the clip has a burst of sound; pictures are white then."""


def clip(path: Path, sound_codec: str) -> Path:
    """Five seconds of dark pictures, white for a tenth of a second at each click."""
    sound = np.zeros(5 * RATE, np.int16)
    for click in CLICKS:
        at = round(click * RATE)
        sound[at : at + RATE // 10] = 12_000 * np.sign(np.sin(np.arange(RATE // 10) * 0.3))
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=24, options={"g": "60"})
        video.width, video.height, video.pix_fmt = 32, 32, "yuv420p"
        audio = container.add_stream(sound_codec, rate=RATE, layout="mono")
        for index in range(5 * 24):
            bright = any(0 <= index / 24 - click < 0.1 for click in CLICKS)
            picture = np.full((32, 32, 3), 255 if bright else 0, np.uint8)
            container.mux(video.encode(av.VideoFrame.from_ndarray(picture, "rgb24")))
            begin, end = index * RATE // 24, (index + 1) * RATE // 24
            frame = av.AudioFrame.from_ndarray(sound[None, begin:end], "s16", "mono")
            frame.sample_rate, frame.pts, frame.time_base = RATE, begin, Fraction(1, RATE)
            container.mux(audio.encode(frame))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    return path


def write_part(path: Path, out: Path, part: str) -> None:
    with VideoReader(path, part=Part.of(part)) as reader:
        writer = VideoWriter(
            out,
            width=32,
            height=32,
            time_base=reader.time_base,
            audio_from=reader.sound,
            encoding=Encoding.of(path=out),
        )
        with writer:
            for frame in reader:
                writer.write(frame.rgb, pts=frame.pts, duration=frame.duration)


def bright_at(path: Path) -> list[float]:
    """Seconds at which pictures become white."""
    with VideoReader(path) as reader:
        frames = [(float(frame.time), bool(frame.rgb.float().mean() > 128)) for frame in reader]
    return [
        time for (time, bright), before in zip(frames, [(0.0, False), *frames]) if bright and not before[1]
    ]


def heard_at(path: Path) -> list[float]:
    """Seconds at which sound begins, as a player with edit lists hears it."""
    found: list[float] = []
    last = -1.0
    with av.open(str(path)) as container:
        for frame in container.decode(audio=0):
            samples = np.abs(frame.to_ndarray().astype(float)).max(0)
            loud = np.flatnonzero(samples > samples.max() / 2) if samples.max() > 0.1 else []
            for place in loud:
                time = float(frame.pts * frame.time_base) + int(place) / frame.sample_rate
                if time - last > 0.3:
                    found.append(time)
                last = time
    return found


@pytest.mark.parametrize(
    ("source", "sound", "target"),
    [
        ("in.mp4", "aac", "out.mp4"),
        ("in.mkv", "flac", "out.mkv"),
        ("in.mkv", "pcm_s16le", "out.mp4"),
        ("in.mp4", "aac", "out.webm"),
    ],
)
@pytest.mark.parametrize("part", ["2s-4.5s", "36f-"])
def test_sound_and_pictures_of_a_part_begin_together(
    tmp_path: Path, source: str, sound: str, target: str, part: str
) -> None:
    path, out = clip(tmp_path / source, sound), tmp_path / target
    write_part(path, out, part)
    with VideoReader(out) as reader:
        first = next(reader)
    bright, heard = bright_at(out), heard_at(out)
    # in a WebM, sound begins with what an Opus decoder needs to start, which is before 0
    assert first.time <= (Fraction(1, 100) if target == "out.webm" else 0)
    assert len(bright) == len(heard) >= 1
    assert bright == pytest.approx(heard, abs=0.05), "a frame, and the border of a packet of sound"


def test_the_sound_of_a_part_ends_with_it(tmp_path: Path) -> None:
    path, out = clip(tmp_path / "in.mp4", "aac"), tmp_path / "out.mp4"
    write_part(path, out, "1s-2s")
    with av.open(str(out)) as container:
        stream = container.streams.audio[0]
        assert float(stream.duration * stream.time_base) == pytest.approx(1, abs=0.05)
