"""What raw video does not say of itself."""

from fractions import Fraction

import pytest

from lipar.video import VideoError
from lipar.video.sources.raw_format import RawFormat, frame_rate_of


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("64x48", RawFormat(width=64, height=48)),
        ("64X48:RGB24", RawFormat(width=64, height=48, pixel_format="rgb24")),
        ("64x48@29.97", RawFormat(width=64, height=48, frame_rate=Fraction(2997, 100))),
        (
            "64x48:nv12@24000/1001",
            RawFormat(width=64, height=48, pixel_format="nv12", frame_rate=Fraction(24000, 1001)),
        ),
    ],
)
def test_a_format_is_a_size_and_what_else_is_known(text: str, expected: RawFormat) -> None:
    assert RawFormat.of(text) == expected
    assert RawFormat.of("64x48").pixel_format == "yuv420p", "as in ffmpeg"


@pytest.mark.parametrize(
    "text", ["", "64", "0x48", "64x48:", "64x48@", "64x48:rgb 24", "-1x5", "64x48@24:rgb24"]
)
def test_what_is_no_format_is_an_error_with_an_example(text: str) -> None:
    with pytest.raises(
        VideoError, match=r"write WIDTHxHEIGHT\[:pix_fmt\]\[@fps\], for instance 640x480:rgb24@30"
    ):
        RawFormat.of(text)


@pytest.mark.parametrize("text", ["0", "-1", "abc", "1/0", "1001", "", "24fps"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(VideoError, match="is no number of frames per second"):
        frame_rate_of(text)
