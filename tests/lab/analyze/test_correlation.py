"""Pearson correlation of parts, and of all of them together."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar_lab.analyze.correlation import Sums, pooled


@given(st.integers(0, 2**31), st.lists(st.integers(0, 20), min_size=1, max_size=4))
def test_pooled_parts_have_the_correlation_of_all_values_by_numpy(seed, lengths):
    draw = np.random.default_rng(seed)
    x = [draw.normal(index, 1, count) for index, count in enumerate(lengths)]
    y = [one + draw.normal(0, 1, len(one)) for one in x]
    found = pooled(Sums.of(torch.from_numpy(a), torch.from_numpy(b)) for a, b in zip(x, y))
    assert found.count == sum(lengths)
    if found.count < 2:
        assert found.pearson is None
        return
    expected = np.corrcoef(np.concatenate(x), np.concatenate(y))[0, 1]
    assert found.pearson == pytest.approx(expected, abs=1e-9)
    assert found.mean_x == pytest.approx(np.concatenate(x).mean(), abs=1e-9)


def test_it_is_1_on_a_rising_line_minus_1_on_a_falling_one_and_undefined_without_variation():
    x = torch.arange(5.0)
    assert Sums.of(x, 3 * x + 1).pearson == pytest.approx(1)
    assert Sums.of(x, -x).pearson == pytest.approx(-1)
    assert Sums.of(x, torch.ones(5)).pearson is None
    assert pooled([]).pearson is None
