"""What can be asked for of codec and quality, and how the encoder is told."""

from pathlib import Path

import pytest

from lipar.video import VideoError
from lipar.video.encoding import CODECS, DEFAULT_ENCODING, Encoding


def test_nothing_asked_for_is_h264_at_its_own_preset_and_number():
    assert Encoding.of() == DEFAULT_ENCODING == Encoding(codec="h264", preset="edit", number=17)
    assert Encoding.of(quality="veryfast").options == {"preset": "veryfast", "crf": "17", "bf": "0"}
    # x264 knows no preset of this name
    own = {"preset": "veryfast", "x264-params": "me=dia:partitions=i4x4,i8x8"}
    assert DEFAULT_ENCODING.options == own | {"crf": "17", "bf": "0"}


@pytest.mark.parametrize(
    ("codec", "quality", "preset", "number"),
    [
        ("h264", "medium:18", "medium", 18),
        ("h264", "slow", "slow", 17),
        ("h264", "0", "edit", 0),
        ("h264", 23, "edit", 23),
        ("hevc", None, "veryfast", 18),
        ("av1", "10", "8", 10),  # a plain number is a quality, although av1's presets are numbers
        ("av1", "10:30", "10", 30),
        ("h264_nvenc", "p7:20", "p7", 20),
        ("hevc_videotoolbox", "80", None, 80),
    ],
)
def test_a_quality_is_a_preset_a_number_or_both(codec, quality, preset, number):
    assert Encoding.of(codec, quality) == Encoding(codec=codec, preset=preset, number=number)


@pytest.mark.parametrize(
    ("codec", "quality"),
    [
        *(
            ("h264", quality)
            for quality in ("quick", "52", "-1", "", ":", "medium:", ":18", "quick:18", "1e1")
        ),
        *(("h264", quality) for quality in ("medium:18:1", "18:medium", " 18", "17.5", "\u0661", "9" * 5000)),
        ("av1", "0"),
        ("av1", "14:20"),
        ("h264_videotoolbox", "0"),
        ("h264_videotoolbox", "medium:50"),
    ],
)
def test_what_a_codec_does_not_know_is_an_error_that_lists_what_it_does(codec, quality):
    with pytest.raises(VideoError, match=f"{codec} has no quality .* write a number from") as error:
        Encoding.of(codec, quality)
    assert len(str(error.value)) < 600
    assert all(name in str(error.value) for name in CODECS[codec].presets)


def test_an_unknown_codec_is_an_error_that_lists_all():
    with pytest.raises(VideoError, match=r"no codec named 'h265'; there are: .*hevc is H\.265") as error:
        Encoding.of("h265")
    assert all(name in str(error.value) for name in CODECS)


@pytest.mark.parametrize("name", CODECS)
def test_the_defaults_of_every_codec_are_among_what_it_knows(name):
    known = CODECS[name]
    assert (known.preset in known.presets) or (known.preset is None and not known.presets)
    low, high = sorted((known.best, known.worst))
    assert low <= known.number <= high
    filled = Encoding.of(name).options
    assert not any("{" in value for value in filled.values())
    for number in {known.best, known.worst} - {known.number}:  # a lossless codec has a single quality
        assert Encoding.of(name, number).options != filled


def test_an_encoding_is_printed_as_it_is_typed():
    assert str(Encoding.of("h264", 20)) == "h264 edit:20"
    assert str(Encoding.of("hevc_videotoolbox")) == "hevc_videotoolbox 65"


@pytest.mark.parametrize(
    ("codec", "suffix", "fitting"),
    [("h264", "webm", "vp9"), ("hevc", "webm", "vp9"), ("vp9", "mov", "h264"), ("ffv1", "mp4", "h264")],
)
def test_a_codec_that_a_container_cannot_contain_is_refused_with_one_that_it_can(codec, suffix, fitting):
    with pytest.raises(VideoError, match=rf"a\.{suffix} cannot contain {codec}; .* take codec .*{fitting}"):
        Encoding.of(codec).check_container(Path(f"a.{suffix}"))


def test_webm_is_vp9_unless_another_codec_is_named():
    assert Encoding.of(path=Path("a.webm")).codec == "vp9"
    assert Encoding.of("av1", path=Path("a.webm")).codec == "av1"
    assert Encoding.of(path=Path("a.mkv")) == DEFAULT_ENCODING


def test_only_av1_in_mov_is_refused():
    files = [Path(f"a.{suffix}") for suffix in ("mp4", "mov", "mkv")]
    Encoding.of("h264").check_container(*files, None)
    Encoding.of("hevc").check_container(*files)
    Encoding.of("av1").check_container(files[0], files[2])
    for codec in ("av1", "av1_nvenc"):
        with pytest.raises(VideoError, match=rf"a\.mov cannot contain {codec}"):
            Encoding.of(codec).check_container(*files)
