"""What kind of source a name stands for, and which options do not fit it."""

import os
from fractions import Fraction
from pathlib import Path

import pytest

from lipar.video import VideoError
from lipar.video.sources.kinds import kind_of
from lipar.video.sources.raw_format import RawFormat
from lipar.video.sources.reading import ALL, Reading

RAW = Reading(raw=RawFormat(width=8, height=8))


def test_the_name_and_what_is_said_about_it_choose_the_kind(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert kind_of(tmp_path, ALL) == "pictures"
    assert kind_of(tmp_path / "%03d.png", ALL) == "pictures"
    assert kind_of(tmp_path / "missing.mp4", ALL) == "file"
    assert kind_of(Path("-"), ALL) == "file", "it is copied to one"
    assert kind_of(Path("-"), RAW) == "raw"
    assert kind_of(Path("-"), Reading(live=True)) == "live"
    assert kind_of(tmp_path / "pipe", Reading(live=True)) == "live"
    assert kind_of(Path("camera:/dev/video0"), ALL) == "camera"


@pytest.mark.parametrize(
    ("name", "reading", "said"),
    [
        (".", RAW, "--raw describes a pipe"),
        ("camera:0", RAW, "--raw describes a pipe"),
        ("camera:0", Reading(live=True), "--live is for pipes"),
        ("nowhere", Reading(live=True), "--live is for pipes"),
        ("-", Reading(live=True, raw=RAW.raw), "read live without it"),
        ("in.mp4", Reading(frame_rate=Fraction(24)), "has its own times"),
    ],
)
def test_what_does_not_fit_the_kind_is_refused(name: str, reading: Reading, said: str) -> None:
    with pytest.raises(VideoError, match=said):
        kind_of(Path(name), reading)
