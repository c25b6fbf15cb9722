"""The rows, and their configs."""

import pytest

from lipar.plugin.host import load_plugins
from lipar_lab.ablation.plan import reason_it_cannot_run
from lipar_lab.ablation.rows import ROWS, Row, chosen_rows, row_config


def test_dense_and_paper_are_always_among_the_chosen_rows_in_the_order_of_the_table() -> None:
    names = [row.name for row in chosen_rows(("step-matched", "none"), ())]
    assert names == ["dense", "none", "paper", "step-matched"]
    assert chosen_rows(None, ()) == ROWS


def test_an_unknown_row_and_a_name_that_is_taken_are_refused() -> None:
    with pytest.raises(LookupError, match="no row named 'papr'; there are: dense, "):
        chosen_rows(("papr",), ())
    with pytest.raises(ValueError, match=r"'paper'.*is taken by a row of the ablation"):
        chosen_rows(None, (Row(name="paper"),))


def test_an_extra_row_comes_last() -> None:
    mine = Row(name="noise=kv-cache", settings=("noise=kv-cache",))
    assert chosen_rows((), (mine,))[-1] == mine


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_every_row_has_a_config_that_can_run_and_cuts_no_scene(row: Row) -> None:
    config = row_config(row, settings=("seed=3",))
    assert config.seed == 3 and not config.prune.scene_cuts
    assert reason_it_cannot_run(load_plugins(), config) is None


def test_a_row_s_own_settings_come_after_those_of_all_rows() -> None:
    row = Row(name="mine", settings=("noise=kv-cache",))
    assert row_config(row, settings=("noise=step-matched",)).noise.name == "kv-cache"
