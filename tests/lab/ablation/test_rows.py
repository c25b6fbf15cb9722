"""The rows of a suite, crossed with its axes, and their configs."""

import pytest
from lab_toys import toy_suite

from lipar.plugin.host import load_plugins
from lipar_lab.ablation.plan import reason_it_cannot_run
from lipar_lab.ablation.rows import Row, chosen_rows, crossed_rows, row_config
from lipar_lab.ablation.suite import SuiteRow
from lipar_lab.ablation.suite_file import read_suite, suite_names

WINDOWS = """
reference = "ours"
axes.window = {dense = "full", values = {full = [], trimmed = ["cache.window_frames=4"]}}
rows = [
    {name = "ours", settings = ["noise=kv-cache"]},
    {name = "theirs", at = {window = "full"}, settings = ["merging.fraction={pruned}", "prune.keep={kept}"]},
]
"""


def test_dense_row_and_reference_are_always_among_the_chosen_in_the_order_of_the_suite() -> None:
    suite = read_suite("recovery")
    names = [row.name for row in chosen_rows(suite, ("step-matched", "none")).rows]
    assert names == ["dense", "none", "paper", "step-matched"]
    assert chosen_rows(suite, None).rows == suite.rows


def test_an_unknown_row_and_a_name_that_is_taken_are_refused() -> None:
    suite = read_suite("recovery")
    with pytest.raises(LookupError, match="no row named 'papr'; there are: dense, "):
        chosen_rows(suite, ("papr",))
    with pytest.raises(ValueError, match=r"'paper'.*is taken by a row of the suite"):
        chosen_rows(suite, None, (SuiteRow(name="paper"),))


def test_an_extra_row_comes_last() -> None:
    mine = SuiteRow(name="noise=kv-cache", settings=("noise=kv-cache",))
    assert chosen_rows(read_suite("recovery"), (), (mine,)).rows[-1] == mine


@pytest.mark.parametrize("name", suite_names())
def test_every_row_of_lipar_s_own_suites_can_run_at_every_fraction(name: str) -> None:
    suite = read_suite(name)
    for row in crossed_rows(suite):
        for kept in suite.kept:
            config = row_config(["seed=3"], row, kept)
            assert config.seed == 3 and not config.prune.scene_cuts
            assert reason_it_cannot_run(load_plugins(), config) is None


def test_rows_are_crossed_with_axes_and_compared_within_them() -> None:
    rows = {row.name: row for row in crossed_rows(toy_suite(WINDOWS))}
    assert list(rows) == ["ours (full)", "ours (trimmed)", "theirs", "dense (full)", "dense (trimmed)"]
    assert rows["ours (trimmed)"].settings == ("cache.window_frames=4", "noise=kv-cache")
    assert rows["ours (trimmed)"].of_axes == ("cache.window_frames=4",)
    assert {row.dense for row in rows.values()} == {"dense (full)"}
    assert {row.reference for row in rows.values()} == {"ours (full)"}


def test_without_a_dense_value_every_value_of_an_axis_has_its_own_dense_run() -> None:
    rows = {row.name: row for row in crossed_rows(toy_suite(WINDOWS.replace('dense = "full", ', "")))}
    assert rows["ours (trimmed)"].dense == "dense (trimmed)"
    assert rows["dense (trimmed)"].reference == "ours (trimmed)"
    assert rows["theirs"].dense == "dense (full)"


def test_a_reference_that_is_not_at_a_row_s_values_gives_no_difference() -> None:
    one_sided = """
    reference = "ours"
    axes.window.values = {a = [], b = [], c = []}
    rows = [{name = "ours", at = {window = ["a", "b"]}}]
    """
    rows = {row.name: row for row in crossed_rows(toy_suite(one_sided))}
    assert rows["dense (a)"].reference == "ours (a)"
    assert rows["dense (c)"].reference is None


def test_settings_take_the_fraction_of_the_cell() -> None:
    theirs = next(row for row in crossed_rows(toy_suite(WINDOWS)) if row.name == "theirs")
    assert theirs.at_kept(0.68) == ["merging.fraction=0.32", "prune.keep=0.68"]


def test_a_row_s_own_settings_come_after_those_of_all_rows() -> None:
    row = Row(name="mine", settings=("noise=kv-cache",), dense="dense", reference=None)
    assert row_config(["noise=step-matched"], row, 0.5).noise.name == "kv-cache"
