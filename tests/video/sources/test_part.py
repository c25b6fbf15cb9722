"""A part of a clip as a user writes it."""

from fractions import Fraction

import pytest

from lipar.video import VideoError
from lipar.video.moment import BEGIN, Moment
from lipar.video.sources.part import Part


@pytest.mark.parametrize(
    ("text", "begin", "end"),
    [
        ("2s-5s", Moment(Fraction(2)), Moment(Fraction(5))),
        ("-5.25s", BEGIN, Moment(Fraction(21, 4))),
        ("2s-", Moment(Fraction(2)), None),
        ("12f-40f", Moment(frame=12), Moment(frame=40)),
        (" 12f - 2s ", Moment(frame=12), Moment(Fraction(2))),
    ],
)
def test_a_part_is_two_moments_of_which_one_may_be_left_out(
    text: str, begin: Moment, end: Moment | None
) -> None:
    part = Part.of(text)
    assert part == Part(begin, end)
    assert Part.of(str(part)) == part


@pytest.mark.parametrize(
    "text", ["", "-", "5", "2-5", "2s", "2s-5s-7s", "as-bs", "-2s-5s", "1e3s-", "2s-5", "\u0661s-"]
)
def test_what_is_no_part_is_an_error_that_says_how_one_is_written(text: str) -> None:
    with pytest.raises(
        VideoError, match="is no part of a clip; write it as 2s-5s, -5s, 2s- or, in frames, 12f-40f"
    ):
        Part.of(text)


@pytest.mark.parametrize("text", ["5s-2s", "2s-2s", "40f-12f", "3f-3f", "-0s", "-0f"])
def test_an_empty_part_is_refused(text: str) -> None:
    with pytest.raises(VideoError, match="ends before it begins"):
        Part.of(text)
