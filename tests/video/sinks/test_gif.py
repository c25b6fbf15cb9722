"""GIF animations."""

from fractions import Fraction
from pathlib import Path

import pytest
from output_files import names

from lipar.files.owner import Outputs
from lipar.video import BT709, VideoReader, VideoWarning
from lipar.video.encoding import DEFAULT_ENCODING
from lipar.video.sinks.choose import Written, open_sink
from lipar.video.sound import Sound
from lipar.video.testing import make_video, moving_gradient

CLIP = moving_gradient(8, 40, 30)
PTS = [0, 100, 250, 300, 305, 700, 800, 900]
"""Milliseconds, two of them closer than a GIF can show."""


def written(path: Path, sound: Sound | None = None) -> None:
    frames = Written(
        size=(40, 30), time_base=Fraction(1, 1000), frame_rate=Fraction(10), colour=BT709, sound=sound
    )
    with Outputs() as outputs:
        with open_sink(path, frames, encoding=DEFAULT_ENCODING, outputs=outputs) as sink:
            for rgb, pts in zip(CLIP, PTS):
                sink.write_picture(sink.picture(rgb), pts=pts + 5000, duration=150)
        assert not path.exists(), "it is published with the other outputs"
        outputs.publish()


def test_frames_have_their_times_in_hundredths_and_colours_near_their_own(tmp_path: Path) -> None:
    written(tmp_path / "a.gif")
    with VideoReader(tmp_path / "a.gif") as reader:
        frames = list(reader)
    assert [float(frame.time) for frame in frames] == [0, 0.1, 0.25, 0.3, 0.32, 0.7, 0.8, 0.9]
    assert frames[-1].duration * frames[-1].time_base == Fraction(15, 100)
    for frame, rgb in zip(frames, CLIP, strict=True):
        assert (frame.rgb.float() - rgb.float()).abs().mean() < 4  # 256 colours, dithered
    assert names(tmp_path) == ["a.gif"]


def test_sound_that_a_gif_cannot_contain_is_left_out_with_a_warning(tmp_path: Path) -> None:
    source = make_video(tmp_path / "in.mp4", CLIP, audio="aac")
    with pytest.warns(VideoWarning, match=r"a\.gif cannot contain sound; that of the source is left out"):
        written(tmp_path / "a.gif", Sound(source))
