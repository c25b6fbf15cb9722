"""Interleaved timings: every round runs everything once, warm-up is not counted, figures follow from the times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lipar_lab.bench.ratios import fraction_row, interleave, rounds


@given(st.integers(1, 5), st.integers(1, 12))
def test_every_round_runs_everything_once(count, repeats):
    names = [str(index) for index in range(count)]
    orders = list(rounds(names, repeats))
    assert len(orders) == repeats
    assert all(sorted(order) == names for order in orders)


@given(st.integers(2, 5))
def test_every_run_is_first_as_often_as_every_other(count):
    names = [str(index) for index in range(count)]
    firsts = [order[0] for order in rounds(names, 2 * count)]
    assert all(firsts.count(name) == 2 for name in names)


def test_interleaving_counts_no_warm_up_round():
    calls = []

    def run(name):
        def seconds():
            calls.append(name)
            return float(len(calls))

        return seconds

    times = interleave({"a": run("a"), "b": run("b")}, 2, warm_up=1)
    assert sorted(calls[:2]) == sorted(calls[2:4]) == sorted(calls[4:]) == ["a", "b"]
    assert sorted(times["a"] + times["b"]) == [3.0, 4.0, 5.0, 6.0]


def test_a_row_is_computed_from_its_times():
    row = fraction_row(
        [1.0, 1.2], [2.0, 2.4], kept=40, tokens=100, flops=3e12, peak_flops=6e12, pixel_frames=11
    )
    assert row["kept"] == 0.4
    assert row["ratio_to_dense"].median == 0.5
    assert row["ratio_over_kept"] == 1.25
    assert row["speedup"] == 2.0
    assert row["speedup_over_ideal"] == pytest.approx(0.8)
    assert row["fps"] == pytest.approx(10)
    assert row["tflops"] == pytest.approx(3 / 1.1)
    assert row["of_ceiling"] == pytest.approx(0.5 / 1.1)


def test_a_row_without_a_peak_or_pixel_frames_has_no_figure_of_them():
    row = fraction_row([1.0], [2.0], kept=1, tokens=2, flops=1.0, peak_flops=None)
    assert not {"of_ceiling", "fps"} & row.keys()
