"""Fits of seconds by kept tokens and context."""

import math

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st
from plan_toys import toy_samples

from lipar_lab.plan.fit import Point, fit_points, points_of


def points(function, counts, rows=400):
    steady = [Point(kept=n, rows=rows, seconds=function(n, rows), steady=True) for n in counts]
    others = [Point(kept=n, rows=m, seconds=function(n, m), steady=False) for n, m in ((150, 150), (80, 300))]
    return [*others, *steady]


@given(
    a=st.floats(0.01, 1),
    b=st.floats(0, 0.1),
    c=st.floats(0, 0.01),
    d=st.floats(0, 1e-4),
    kept=st.integers(1, 150),
    rows=st.integers(150, 400),
)
def test_a_sum_with_a_product_is_found_exactly_by_both_forms(a, b, c, d, kept, rows) -> None:
    def seconds(n, m):
        return a + b * n + c * m + d * n * m

    fit = fit_points(points(seconds, [1, 10, 40, 80, 150]))
    assert fit.seconds(kept, rows) == pytest.approx(seconds(kept, rows), rel=1e-4)
    assert all(error < 1e-4 for errors in fit.errors.values() for error in errors)


def test_where_time_bends_the_piecewise_form_is_taken() -> None:
    def bent(n, m):
        return 1.0 + max(n - 100, 0) * 0.1

    fit = fit_points(points(bent, [1, 20, 50, 100, 150, 200, 300]))
    assert fit.form == "piecewise"
    assert fit.error < sum(fit.errors["linear"]) / len(fit.errors["linear"])
    assert fit.seconds(10, 400) == pytest.approx(1.0)
    assert fit.seconds(250, 400) == pytest.approx(16.0)


def test_noise_on_a_line_is_averaged_by_the_linear_form() -> None:
    noise = {1: 1.1, 20: 0.9, 50: 1.1, 100: 0.9, 150: 1.1, 200: 0.9, 300: 1.0}

    fit = fit_points(points(lambda n, m: (1 + 0.1 * n) * noise.get(n, 1.0), [*noise]))
    assert fit.form == "linear"


def test_contexts_that_differ_by_chance_take_the_linear_form() -> None:
    scattered = [
        Point(kept=n, rows=300 + 7 * n, seconds=1 + n + (300 + 7 * n) / 100, steady=True)
        for n in (1, 5, 9, 20, 40)
    ]
    fit = fit_points(scattered)
    assert fit.form == "linear" and set(fit.errors) == {"linear"}
    assert fit.seconds(10, 370) == pytest.approx(14.7, rel=1e-3)


def test_no_time_is_negative() -> None:
    assert fit_points(points(lambda n, m: 1e-3 * n, [10, 50, 100, 150])).seconds(0, 0) >= 0


def test_one_point_is_no_fit() -> None:
    with pytest.raises(ValueError, match="at least 2 points, got 1"):
        fit_points([Point(kept=1, rows=1, seconds=1.0, steady=True)])


def test_with_two_points_there_is_no_error_to_tell() -> None:
    fit = fit_points([Point(kept=n, rows=9, seconds=float(n), steady=True) for n in (1, 5)])
    assert math.isnan(fit.error) and math.isnan(fit.worst)


def test_repetitions_are_one_point_of_their_median() -> None:
    samples = [
        attrs.evolve(sample, denoise=sample.denoise * factor)
        for sample in toy_samples()
        for factor in (0.9, 1, 5)
    ]
    found = points_of(samples, lambda sample: sample.denoise)
    assert len(found) == len(toy_samples())
    assert sorted(point.seconds for point in found) == sorted(sample.denoise for sample in toy_samples())
    assert [point.kept for point in found] == sorted(point.kept for point in found)
