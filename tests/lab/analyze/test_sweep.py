"""The largest fraction under a bound, and means of sweeps."""

import json
import math

import pytest

from lipar_lab.analyze.sweep import Bound, Point, from_json, largest_fraction, mean_points, to_json

VMAF = Bound(metric="vmaf", value=95, better="higher")


def sweep(*pairs, metric="vmaf"):
    return [
        Point(theta=float(index), replaced=replaced, figures={metric: value})
        for index, (replaced, value) in enumerate(pairs)
    ]


def test_the_largest_fraction_lies_on_the_line_between_the_points_around_the_bound():
    found = largest_fraction(sweep((0.0, 99.0), (0.2, 97.0), (0.6, 93.0)), VMAF)
    assert found is not None and found.reached
    assert found.fraction == pytest.approx(0.4)


def test_a_bound_that_always_holds_gives_the_last_fraction_and_says_so():
    found = largest_fraction(sweep((0.0, 99.0), (0.7, 96.0)), VMAF)
    assert found is not None and (found.fraction, found.reached) == (0.7, False)


def test_a_bound_that_never_holds_gives_0_and_a_figure_that_is_not_defined_gives_none():
    found = largest_fraction(sweep((0.0, 94.0), (0.7, 90.0)), VMAF)
    assert found is not None and (found.fraction, found.reached) == (0.0, True)
    assert largest_fraction(sweep((0.0, None), (0.7, None)), VMAF) is None


def test_only_the_first_crossing_counts():
    found = largest_fraction(sweep((0.0, 97.0), (0.4, 93.0), (0.8, 99.0)), VMAF)
    assert found is not None and found.fraction == pytest.approx(0.2)


def test_from_an_infinite_value_there_is_no_line():
    bound = Bound(metric="psnr", value=35, better="higher")
    found = largest_fraction(sweep((0.1, math.inf), (0.5, 30.0), metric="psnr"), bound)
    assert found is not None and found.fraction == 0.1


def test_of_distances_lower_is_better():
    bound = Bound(metric="lpips", value=0.05, better="lower")
    found = largest_fraction(sweep((0.0, 0.0), (0.5, 0.1), metric="lpips"), bound)
    assert found is not None and found.fraction == pytest.approx(0.25)
    assert str(bound) == "<= 0.05"


def test_the_mean_of_clips_is_that_of_fractions_figures_and_squared_errors():
    means = mean_points([sweep((0.0, 99.0), (0.2, 97.0)), sweep((0.0, 97.0), (0.6, 91.0))])
    assert [point.replaced for point in means] == [0, pytest.approx(0.4)]
    assert [point.figures["vmaf"] for point in means] == [98, 94]
    psnr = mean_points([sweep((0.1, math.inf), metric="psnr"), sweep((0.1, 30.0), metric="psnr")])
    assert psnr[0].figures["psnr"] == pytest.approx(30 + 10 * math.log10(2))
    assert mean_points([sweep((0.1, math.inf), metric="psnr")])[0].figures["psnr"] == math.inf
    assert mean_points([sweep((0.1, None)), sweep((0.1, 90.0))])[0].figures["vmaf"] is None


def test_points_come_back_from_json():
    points = [*sweep((0.1, math.inf), metric="psnr"), *sweep((0.5, None)), *sweep((0.5, 90.0))]
    assert [from_json(json.loads(json.dumps(to_json(point)))) for point in points] == points
