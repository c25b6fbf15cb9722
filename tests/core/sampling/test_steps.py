"""Step lists, scaled to begin where the strength says."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar.sampling.steps import scale_steps

lists = st.lists(st.integers(1, 1000), min_size=1, max_size=6, unique=True).map(
    lambda x: sorted(x, reverse=True)
)


@given(lists)
def test_a_list_at_its_own_strength_stays_as_it_is(steps):
    assert scale_steps(steps, steps[0] / 1000) == steps


@given(lists, st.floats(0, 1))
def test_a_scaled_list_falls_from_the_strength_to_at_least_1(steps, strength):
    scaled = scale_steps(steps, strength)
    assert scaled[0] == max(1, round(1000 * strength))
    assert all(later < earlier for earlier, later in pairwise(scaled)) and scaled[-1] >= 1


@pytest.mark.parametrize(("strength", "scaled"), [(0.8, [800, 600, 200]), (0.001, [1])])
def test_proportions_stay_and_equal_neighbours_become_one(strength, scaled):
    assert scale_steps([400, 300, 100], strength) == scaled
