"""Options of the command line over a suite."""

from pathlib import Path

import attrs
import pytest
from lab_toys import toy_suite

from lipar_lab.ablation.overrides import Overrides
from lipar_lab.ablation.suite import SuiteRow

SUITE = toy_suite(
    """
    reference = "a"
    kept = [0.7, 0.5]
    metrics = ["psnr"]
    clips = {count = 24, size = 128}
    timing = {rounds = 5, clips = 3}
    quick = {clips = 2, kept = [0.5], rows = ["a"], rounds = 1}
    rows = [{name = "a"}, {name = "b"}]
    """
)


def test_without_options_the_suite_is_run_as_it_is() -> None:
    assert attrs.evolve(Overrides().over(SUITE), quick=SUITE.quick) == SUITE


def test_options_replace_what_the_suite_says() -> None:
    mine = Overrides(
        kept=(0.3,), strengths=(0.8,), seeds=(1, 2), metrics=("ssim",), clips=4, frames=12, size=64, rounds=0
    ).over(SUITE)
    assert (mine.kept, mine.strengths, mine.seeds, mine.metrics) == ((0.3,), (0.8,), (1, 2), ("ssim",))
    assert (mine.clips.count, mine.clips.frames, mine.clips.size, mine.timing.rounds) == (4, 12, 64, 0)


def test_quick_takes_the_suite_s_own_small_run_and_options_come_after_it() -> None:
    quick = Overrides(quick=True, clips=3).over(SUITE)
    assert (quick.kept, quick.clips.count, quick.clips.size) == ((0.5,), 3, 128)
    assert (quick.timing.rounds, quick.timing.clips) == (1, 1)
    assert [row.name for row in quick.rows] == ["a", "dense"]
    assert [row.name for row in Overrides(quick=True, rows=("b",)).over(SUITE).rows] == ["a", "b", "dense"]


def test_files_replace_the_clips_and_variants_are_added() -> None:
    extra = SuiteRow(name="c", settings=("noise=kv-cache",))
    mine = Overrides(files=(Path("a.mp4"),), prompts=("night",), extra=[extra]).over(SUITE)
    assert (mine.clips.files, mine.clips.prompts) == (("a.mp4",), ("night",))
    assert mine.rows[-1] == extra


def test_fractions_that_a_row_is_limited_to_and_that_are_not_run_are_refused() -> None:
    limited = attrs.evolve(SUITE, rows=(*SUITE.rows[1:], attrs.evolve(SUITE.rows[0], kept=(0.7,))))
    with pytest.raises(ValueError, match=r"row 'a': kept 0.7 is not among the suite's, \[0.3\]"):
        Overrides(kept=(0.3,)).over(limited)
