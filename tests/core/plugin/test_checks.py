"""Checks of a run: ranges are read together, the first that is wrong is told, and suspects are asked only then."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lipar.plugin.checks import AnswerError, Checks, came, check_tensor, spoilt

NUMBERS = st.one_of(
    st.floats(-4, 4, width=16), st.sampled_from([math.nan, math.inf, -math.inf, 0.0, -0.0, 6e-8])
)
DTYPES = st.sampled_from([torch.float16, torch.bfloat16, torch.float32, torch.float64])


@st.composite
def tensors(draw):
    return torch.tensor(draw(st.lists(NUMBERS, max_size=6)), dtype=draw(DTYPES))


def blame(text):
    return lambda: AnswerError(text)


@settings(max_examples=200)
@given(st.lists(st.tuples(tensors(), st.booleans()), max_size=5))
def test_what_is_expected_holds_where_every_value_is_finite_and_in_range_and_the_first_fault_is_told(
    expected,
):
    checks = Checks()
    for index, (values, at_least_0) in enumerate(expected):
        checks.expect(values, blame(str(index)), at_least_0=at_least_0)
    wrong = [
        str(index)
        for index, (values, at_least_0) in enumerate(expected)
        if not bool(values.isfinite().all()) or (at_least_0 and bool((values < 0).any()))
    ]
    if wrong:
        with pytest.raises(AnswerError, match=f"^{wrong[0]}$"):
            checks.settle()
    checks.settle()  # it is forgotten


def test_a_fault_that_nobody_is_to_blame_for_lets_the_next_one_speak():
    checks, spoiled = Checks(), torch.tensor([math.nan])
    checks.expect(spoiled, lambda: None)
    checks.expect(spoiled, blame("second"))
    with pytest.raises(AnswerError, match="second"):
        checks.settle()


def test_suspects_are_asked_in_the_order_of_their_answers_and_only_where_something_is_wrong():
    asked = []

    def suspect(name, error=None):
        def answer():
            asked.append(name)
            return error

        checks.suspect(None if name == "own" else name, answer)

    checks = Checks()
    suspect("own")
    checks.expect(torch.ones(3), checks.blamed)
    checks.settle()
    assert asked == []
    suspect("innocent")
    suspect("own")
    suspect("guilty", AnswerError("it was me"))
    suspect("later", AnswerError("me, too"))
    assert checks.suspects == ["innocent", "guilty", "later"]
    checks.expect(torch.tensor([1.0, math.inf]), checks.blamed)
    with pytest.raises(AnswerError, match="it was me"):
        checks.settle()
    assert asked == ["innocent", "own", "guilty"]
    assert checks.suspects == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (None, "None"),
        (0.5, "0.5"),
        ("mask", "'mask'"),
        ((1, 2), "a tuple of 2"),
        ({}, "a dict"),
        (AnswerError("x"), "a lipar.plugin.checks.AnswerError"),
        (torch.zeros(2, 3, dtype=torch.int16), "a tensor int16[2, 3] on cpu"),
    ],
    ids=repr,
)
def test_an_answer_is_said_by_kind_and_shape(answer, said):
    assert came(answer) == said


@given(
    st.sampled_from([torch.float32, torch.float64, torch.bool, torch.int64, torch.complex64]),
    st.integers(1, 3),
)
def test_a_tensor_is_given_back_as_it_is_or_refused(dtype, size):
    answer = torch.zeros(size, dtype=dtype)
    wanted = {"shape": (2,), "device": torch.device("cpu")}
    if dtype.is_floating_point and size == 2:
        assert check_tensor("it", "that", answer, **wanted) is answer
    else:
        with pytest.raises(
            AnswerError,
            match=r"^it gave a tensor .* as that; return a dense floating-point tensor \[2\] on cpu$",
        ):
            check_tensor("it", "that", answer, **wanted)


def test_spoilt_values_are_counted_by_kind():
    values = torch.tensor([1.0, -2.0, math.nan, math.inf, -math.inf])
    assert spoilt(values) == "1 NaN, 2 infinite"
    assert spoilt(values, at_least_0=True) == "1 NaN, 2 infinite, 2 negative"
