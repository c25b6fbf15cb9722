"""Rates that are limited."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.live.server.limits import Limits, RateLimit


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@given(per_second=st.integers(1, 50), waits=st.lists(st.floats(0, 2), max_size=200))
def test_no_more_come_than_a_seconds_worth_and_the_rate(per_second: int, waits: list[float]) -> None:
    clock = Clock()
    rate = RateLimit(per_second, clock=clock)
    allowed = 0
    for wait in waits:
        clock.now += wait
        allowed += rate.allows()
    assert allowed <= per_second * (1 + clock.now - 100) + 1e-6


@given(st.integers(1, 240))
def test_what_comes_at_the_rate_is_never_refused(per_second: int) -> None:
    clock = Clock()
    rate = RateLimit(per_second, clock=clock)
    for _ in range(3 * per_second):
        assert rate.allows()
        clock.now += 1.001 / per_second


def test_after_a_burst_there_is_room_again() -> None:
    clock = Clock()
    rate = RateLimit(2, clock=clock)
    assert [rate.allows() for _ in range(3)] == [True, True, False]
    clock.now += 0.5
    assert [rate.allows() for _ in range(2)] == [True, False]


def test_limits_are_positive_whole_numbers() -> None:
    with pytest.raises(ValueError, match="sessions"):
        Limits(sessions=0)
    assert Limits(sessions=2).as_dict()["sessions"] == 2
