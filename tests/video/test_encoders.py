"""Encoders that open, and the message about those that do not."""

import subprocess
import sys
from fractions import Fraction

import attrs
import av
import pytest

from lipar.video import BT709, VideoError, encoding
from lipar.video.encoders import add_video_stream, check_encoder, pixel_format
from lipar.video.encoding import CODECS, Encoding

SOFTWARE = [name for name, codec in CODECS.items() if not codec.hardware]
HARDWARE = [name for name, codec in CODECS.items() if codec.hardware]


@pytest.mark.parametrize("name", SOFTWARE)
def test_the_encoders_without_hardware_open_with_each_of_their_presets(name):
    for preset in CODECS[name].presets:
        check_encoder(Encoding.of(name, f"{preset}:{CODECS[name].number}"))
    for number in (CODECS[name].best, CODECS[name].worst):
        check_encoder(Encoding.of(name, number))


@pytest.mark.parametrize("name", HARDWARE)
def test_an_encoder_opens_or_is_refused_with_those_that_do(name):
    said = None
    try:
        check_encoder(Encoding.of(name))
    except VideoError as error:
        said = str(error)
    if said is not None:
        assert f"codec {name} does not work on this machine" in said
        assert "these do: h264, hevc, av1" in said


def test_an_encoder_that_pyav_was_built_without_is_said_so(monkeypatch):
    missing = attrs.evolve(CODECS["h264"], encoder="libmissing")
    monkeypatch.setattr(encoding, "CODECS", CODECS | {"h264": missing})
    with pytest.raises(VideoError, match="PyAV was built without libmissing"):
        check_encoder(Encoding.of())


def test_odd_sizes_are_444_where_the_encoder_takes_it():
    assert pixel_format(Encoding.of(), (64, 48)) == "yuv420p"
    assert pixel_format(Encoding.of(), (63, 48)) == "yuv444p"
    with pytest.raises(VideoError, match="no odd sizes"):
        pixel_format(Encoding.of("av1"), (64, 47))


@pytest.mark.parametrize("name", HARDWARE)
def test_a_hardware_encoder_of_this_pyav_takes_one_of_our_formats(name):
    if CODECS[name].encoder in av.codecs_available:
        assert pixel_format(Encoding.of(name), (64, 48)) in ("yuv420p", "nv12")


def test_a_size_that_an_encoder_refuses_is_an_error_that_names_both(tmp_path):
    with (
        av.open(str(tmp_path / "a.mp4"), "w") as container,
        pytest.raises(VideoError, match="hevc does not take 2x2 "),
    ):
        add_video_stream(
            container,
            Encoding.of("hevc"),
            size=(2, 2),
            time_base=Fraction(1, 24),
            frame_rate=None,
            colour=BT709,
        )


@pytest.mark.parametrize("name", SOFTWARE)
def test_encoders_print_nothing(name):
    script = f"""
from lipar.video.encoders import check_encoder
from lipar.video.encoding import Encoding
check_encoder(Encoding.of({name!r}))
"""
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (run.stdout, run.stderr) == ("", "")
