"""Differences are measured in standard deviations of the values, and a bound is asked with the headroom it claims."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.testing import closeness
from lipar.testing.closeness import assert_near, error, spread


@given(st.floats(1e-3, 1e3), st.floats(-100, 100))
def test_an_error_is_the_largest_difference_in_standard_deviations_whatever_the_scale_and_offset(
    scale, offset
):
    expected = torch.tensor([-1.0, 1.0, -1.0, 1.0], dtype=torch.float64)
    found = expected + torch.tensor([0.0, 0.5, -0.25, 0.0])
    assert error(found * scale + offset, expected * scale + offset) == pytest.approx(0.5)


def test_values_that_are_all_the_same_are_measured_by_their_size():
    assert spread(torch.full((3, 2), -4.0)) == 4.0
    assert error(torch.tensor(2.5), torch.tensor(2.0)) == 0.25
    assert error(torch.tensor([0.5]), torch.zeros(1)) == float("inf")
    assert error(torch.zeros(3), torch.zeros(3)) == error(torch.zeros(0), torch.zeros(0)) == 0


def test_few_values_are_measured_by_what_they_were_computed_from():
    inputs = torch.tensor([-2.0, 2.0])
    assert error(torch.tensor([1.0, 1.5]), torch.tensor([1.0, 1.001]), of=inputs) == pytest.approx(0.2495)


def test_a_difference_up_to_the_bound_passes_and_no_larger_one():
    expected = torch.tensor([-1.0, 1.0])
    assert_near(expected + 0.25, expected, 0.25)
    with pytest.raises(AssertionError, match=r"off by 0\.5 standard deviations, allowed 0\.25"):
        assert_near(expected - 0.5, expected, 0.25)


def test_with_headroom_a_fraction_of_the_bound_must_do(monkeypatch):
    expected = torch.tensor([-1.0, 1.0])
    monkeypatch.setattr(closeness, "HEADROOM", 4.0)
    assert_near(expected + 0.25, expected, 1.0)
    with pytest.raises(AssertionError, match=r"off by 0\.5 standard deviations, allowed 0\.25"):
        assert_near(expected + 0.5, expected, 1.0)


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (torch.tensor([torch.nan, 1.0]), "off by nan"),
        (torch.tensor([torch.inf, 1.0]), "off by inf"),
        (torch.tensor([-1.0, 1.0, 1.0]), r"shape \[3\], expected \[2\]"),
        (torch.tensor([-1.0, 1.0]).double(), "type torch.float64, expected torch.float32"),
    ],
)
def test_no_bound_lets_through_what_is_not_finite_or_of_another_shape_or_type(found, said):
    with pytest.raises(AssertionError, match=said):
        assert_near(found, torch.tensor([-1.0, 1.0]), 1e9)
