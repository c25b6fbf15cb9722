"""The record: finished cells are skipped, broken or foreign lines refused."""

from pathlib import Path
from typing import Any

import attrs
import pytest
from lab_toys import toy_cell, toy_plan

from lipar_lab.ablation.plan import Cell, Plan
from lipar_lab.ablation.record import Record
from lipar_lab.ablation.suite import SuiteRow
from lipar_lab.ablation.workers import tasks_of


def line_of(plan: Plan, cell: Cell, **metrics: float) -> dict[str, Any]:
    identity = plan.identity(plan.row(cell.row), cell.kept)
    return {"what": "cell", **attrs.asdict(cell), **identity, "metrics": metrics}


def test_finished_cells_are_skipped_and_a_torn_line_is_run_again(tmp_path: Path) -> None:
    plan = toy_plan("none")
    record = Record(tmp_path, plan)
    cells = list(plan.cells())
    for done in cells[:3]:
        record.add(line_of(plan, done))
    with record.path.open("a") as file:
        file.write('{"what": "cell", "clip": 0, "row": "pa')
    again = Record(tmp_path, plan)
    assert again.done() == set(cells[:3])
    assert [cell for *_, left in tasks_of(plan, again.done()) for cell in left] == cells[3:]
    again.add(line_of(plan, cells[3]))
    assert Record(tmp_path, plan).done() == set(cells[:4])


def test_cells_without_a_figure_that_is_asked_for_are_run_again_and_the_latest_counts(tmp_path: Path) -> None:
    plan = toy_plan()
    more = attrs.evolve(plan, metrics=("psnr",))
    cell = toy_cell(plan, "paper")
    Record(tmp_path, plan).add(line_of(plan, cell))
    record = Record(tmp_path, more)
    assert record.done() == set()
    record.add(line_of(more, cell, psnr=30.0))
    assert Record(tmp_path, more).done() == {cell}
    assert [line["metrics"] for line in Record(tmp_path, plan).of("cell")] == [{"psnr": 30.0}]


def test_a_row_whose_settings_changed_is_run_again(tmp_path: Path) -> None:
    first = toy_plan(extra=(SuiteRow(name="mine", settings=("noise=kv-cache",)),))
    record = Record(tmp_path, first)
    mine = next(cell for cell in first.cells() if cell.row == "mine")
    record.add(line_of(first, mine))
    assert Record(tmp_path, first).done() == {mine}
    changed = toy_plan(extra=(SuiteRow(name="mine", settings=("noise=step-matched",)),))
    assert Record(tmp_path, changed).done() == set()


def test_cells_of_other_clips_are_not_mixed_in(tmp_path: Path) -> None:
    plan = toy_plan("none")
    Record(tmp_path, plan).add(line_of(plan, next(plan.cells())))
    Record(tmp_path, attrs.evolve(plan, clips=attrs.evolve(plan.clips, count=9), kept=(0.3,)))
    with pytest.raises(ValueError, match="cells of other clips or of another config; name another --out"):
        Record(tmp_path, attrs.evolve(plan, clips=attrs.evolve(plan.clips, size=32)))


def test_lines_of_a_record_from_before_suites_are_run_again(tmp_path: Path) -> None:
    plan = toy_plan()
    record = Record(tmp_path, plan)
    record.add({"what": "cell", "clip": 0, "strength": 0.4, "kept": 0.5, "row": "paper", "settings": []})
    assert Record(tmp_path, plan).done() == set()


@pytest.mark.parametrize("before", ["", '{"what": "pl', '{"what": "plan", "base": "another"}\n'])
def test_a_record_without_cells_is_begun_anew(tmp_path: Path, before: str) -> None:
    (tmp_path / "cells.jsonl").write_text(before)
    plan = toy_plan("none")
    Record(tmp_path, plan).add(line_of(plan, next(plan.cells())))
    assert len(Record(tmp_path, plan).done()) == 1


@pytest.mark.parametrize("broken", [b'{"what": "ce', b"\xff\xfe", b"3", b'{"what": "cell"}', b"\0\0"])
def test_a_broken_line_is_named_and_the_record_left_as_it_is(tmp_path: Path, broken: bytes) -> None:
    plan = toy_plan("none")
    record = Record(tmp_path, plan)
    head = record.path.read_bytes()
    record.path.write_bytes(head + broken + b"\n" + b"{}")
    with pytest.raises(
        ValueError, match=r"line 2 of .*cells.jsonl is no line of a record.*; delete that line"
    ):
        Record(tmp_path, plan)
    assert record.path.read_bytes() == head + broken + b"\n" + b"{}"


def test_a_folder_that_cannot_be_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"no record can be kept in .*file .*give --out a folder"):
        Record(tmp_path / "file", toy_plan("none"))
