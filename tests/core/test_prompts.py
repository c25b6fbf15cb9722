"""Prompts that change during a video: how they are read, and which one a block gets."""

import doctest
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lipar.prompts
from lipar.prompts import PromptSchedule, PromptWarning
from lipar.video.moment import Moment


def at(schedule: PromptSchedule, pixel_frame: int, rate: int = 24) -> str:
    return schedule.at(pixel_frame, Fraction(pixel_frame, rate))


def test_the_examples_of_the_docstrings_are_right() -> None:
    assert doctest.testmod(lipar.prompts).failed == 0


@given(st.text(min_size=1).filter(str.strip).filter(lambda text: ":" not in text))
def test_a_single_prompt_is_plain_text(text: str) -> None:
    assert PromptSchedule.parse([text]).first == text


@pytest.mark.parametrize(
    "text", ["a clock that shows 12:30", "12:30 on a clock", "style: night", "10:a", "s:x", ":"]
)
def test_a_colon_in_a_single_prompt_belongs_to_it(text: str) -> None:
    assert PromptSchedule.parse([text]).first == text


@pytest.mark.parametrize("text", ["0:night", "4s:snow", "120f:fog"])
def test_a_single_prompt_that_looks_like_a_moment_is_plain_text_with_a_warning(text: str) -> None:
    with pytest.warns(PromptWarning, match="several prompts make a schedule"):
        assert PromptSchedule.parse([text]).first == text


def test_later_colons_belong_to_the_text() -> None:
    schedule = PromptSchedule.parse(["0:night: a clock at 12:30", "1.5s: snow "])
    assert schedule.first == "night: a clock at 12:30"
    assert [str(entry) for entry in schedule.entries][1] == "1.5s:snow"


def test_a_prompt_is_valid_from_the_first_block_at_or_after_its_moment() -> None:
    schedule = PromptSchedule.parse(["0:night", "1s:snow", "60f:fog"])
    assert [at(schedule, frame) for frame in (0, 23, 24, 36, 59, 60, 99)] == [
        "night", "night", "snow", "snow", "snow", "fog", "fog",
    ]  # fmt: skip


def test_of_two_prompts_that_begin_with_one_block_the_later_one_is_taken() -> None:
    assert at(PromptSchedule.of([(0, "night"), ("1f", "snow"), ("2f", "fog")]), 12) == "fog"


def test_seconds_count_from_the_first_frame_at_its_own_time() -> None:
    schedule = PromptSchedule.of([(0, "night"), ("4s", "snow")])
    assert schedule.at(40, Fraction(399, 100)) == "night"
    assert schedule.at(40, Fraction(4)) == "snow"


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["4s:snow", "8s:night"], "the first prompt must begin at 0, got 4s"),
        (["0:night", "snow"], "of several prompts each is MOMENT:TEXT"),
        (["0:night", "4:snow"], "'4' is no moment"),
        (["0:night", "a clock at 12:30"], "'a clock at 12' is no moment"),
        (["0:night", "1.5f:snow"], "frames are whole"),
        (["0:night", "-4s:snow"], "is no moment"),
        (["0:night", "4s:"], "the prompt at 4s is empty"),
        (["0:night", "4s:snow", "4s:fog"], "4s follows 4s"),
        (["0:night", "48f:snow", "1s:neon", "24f:fog"], "24f follows 48f"),
        (["0:night", "0:snow"], "0 follows 0"),
        ([" "], "the prompt is empty"),
        ([], "there is no prompt"),
    ],
)
def test_what_is_no_schedule_is_refused(given: list[str], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        PromptSchedule.parse(given)


@pytest.mark.parametrize("given", [None, 4, [("4s",)], [(0, 1)], [(1.5, "snow")]])
def test_what_is_no_prompt_in_python_is_refused(given: object) -> None:
    with pytest.raises(TypeError, match="pairs of a moment and a text"):
        PromptSchedule.of(given)  # type: ignore[arg-type]  # that is the test


def test_a_number_that_is_not_0_needs_a_unit() -> None:
    with pytest.raises(ValueError, match="4 is no moment"):
        PromptSchedule.of([(0, "night"), (4, "snow")])


@given(st.integers(1, 10**6), st.sampled_from("sf"))
def test_a_moment_is_read_back_from_its_text(value: int, unit: str) -> None:
    moment = Moment.of(f"{value}{unit}")
    assert moment.is_over(value, Fraction(value)) and not moment.is_over(value - 1, Fraction(value - 1))
    assert Moment.of(str(moment)) == moment
