"""The section `overhead`."""

from lipar.plugin.host import load_plugins
from lipar.speedup import paired_ratio
from lipar_lab.bench.sections.overhead import lines, measure_overhead


def test_keep_all_is_bit_equal_and_both_ratios_are_taken(bench_model):
    figures = measure_overhead(bench_model, load_plugins(), repeats=2, frames=2)
    assert figures["tokens"] == 2 * 6 * 8
    assert figures["keep_all_bit_equal"]
    assert figures["ratio"].keys() == {"keep_all", "all_but_one"}
    assert all(ratio.pairs == 2 for ratio in figures["ratio"].values())


def test_an_output_that_differs_is_said_to():
    ratio = paired_ratio([1.0], [1.0])
    figures = {
        "tokens": 3,
        "keep_all_bit_equal": False,
        "ratio": {"keep_all": ratio, "all_but_one": ratio},
    }
    assert "NOT bit-equal to stock" in "".join(lines(figures))
