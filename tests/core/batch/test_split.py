"""Clips in pieces: the same result, whoever edits which piece, and whatever is killed in between."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest
import torch
from batch_toys import OPTIONS, rows_of, run_rows, small_clips, states, worker_of
from output_files import names
from scene_clips import LOSSLESS, SCENES, clip_of_scenes, frames_of

from lipar.batch import split as split_module
from lipar.batch.piece_files import PieceFiles, pieces_folder
from lipar.batch.record import Record, read_record, write_record
from lipar.batch.rows import ClipRow
from lipar.batch.split import SplitEdit
from lipar.batch.worker import ClipWorker
from lipar.config import build_config

LOSSLESS_OPTIONS = attrs.evolve(OPTIONS, encoding=LOSSLESS)


@pytest.fixture
def row(tmp_path: Path) -> ClipRow:
    clip_of_scenes(tmp_path / "a.mkv", side=32)
    (row,) = rows_of([tmp_path / "a.mkv"], tmp_path / "out")
    return row


@pytest.fixture
def whole(row: ClipRow, tmp_path: Path) -> torch.Tensor:
    """What the unsplit run gives."""
    (alone,) = rows_of([row.source], tmp_path / "whole")
    (outcome,) = run_rows([alone], worker_of(options=LOSSLESS_OPTIONS))
    assert outcome.report is not None and len(outcome.report["scene_cuts"]) == len(SCENES) - 1
    return frames_of(alone.output)


def splitting(**changed: Any) -> ClipWorker:
    return worker_of(options=LOSSLESS_OPTIONS, split=True, **changed)


def calls_of(monkeypatch: pytest.MonkeyPatch, fail: Callable[[int], BaseException | None]) -> list[int]:
    """Count edited pieces; some of them fail."""
    real, calls = split_module.edit_piece, []

    def counted(*arguments: Any, **options: Any) -> Any:
        calls.append(len(calls))
        error = fail(calls[-1])
        if error is not None:
            raise error
        return real(*arguments, **options)

    monkeypatch.setattr(split_module, "edit_piece", counted)
    return calls


def test_a_split_clip_is_the_whole_clip_and_nothing_of_its_pieces_is_left(
    row: ClipRow, whole: torch.Tensor
) -> None:
    (outcome,) = run_rows([row], splitting())
    assert outcome.state == "edited" and outcome.record is not None and outcome.record.pieces == len(SCENES)
    assert torch.equal(frames_of(row.output), whole)
    assert names(row.output.parent) == [".a.mkv.lipar.json", "a.mkv"]
    report = outcome.report
    assert report is not None and report["frames"] == sum(SCENES) and report["stage_seconds"]["DiT"] > 0
    # how it was computed is not part of what it is
    assert states(run_rows([row], worker_of(options=LOSSLESS_OPTIONS))) == ["there"]


def test_a_clip_of_one_scene_and_one_that_cannot_be_split_are_edited_as_a_whole(tmp_path: Path) -> None:
    clips = small_clips(tmp_path, "a")
    (outcome,) = run_rows(rows_of(clips, tmp_path / "out"), worker_of(split=True))
    assert outcome.record is not None and outcome.record.pieces == 1
    config = build_config(settings=["prune.keep=0.5"])
    (outcome,) = run_rows(rows_of(clips, tmp_path / "out", config=config), worker_of(split=True))
    assert outcome.state == "edited" and outcome.record is not None and outcome.record.pieces is None


def begun_split(row: ClipRow) -> SplitEdit:
    """The edit of a clip of which its owner has written the sources, and no more."""
    owner = splitting()
    options = owner.recipe.options_of(row)
    made_of = owner._fingerprint(row.config, options, None).made_of
    write_record(row.output, Record(state="begun", made_of=made_of))
    split = owner._split(row, options, made_of)
    assert split is not None and split._sources() == len(SCENES)
    return split


def test_a_helper_edits_the_pieces_of_a_clip_that_another_worker_owns(
    row: ClipRow, whole: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = begun_split(row)
    calls = calls_of(monkeypatch, lambda number: None)
    assert splitting()._help(row) and len(calls) == len(SCENES)
    assert split._left(len(SCENES)) == []
    assert states(run_rows([row], splitting())) == ["edited"] and len(calls) == len(SCENES)
    assert torch.equal(frames_of(row.output), whole)


def test_a_helper_ends_when_no_clip_can_get_pieces_any_more(row: ClipRow) -> None:
    run_rows([row], splitting())
    splitting().help([row])
    assert states(run_rows([row], splitting())) == ["there"]


def test_after_an_interrupt_only_what_is_left_is_edited(
    row: ClipRow, whole: torch.Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = calls_of(monkeypatch, lambda number: KeyboardInterrupt() if number == 2 else None)
    with pytest.raises(KeyboardInterrupt):
        run_rows([row], splitting())
    assert states(run_rows([row], splitting())) == ["edited"]
    assert len(calls) == len(SCENES) + 1 and torch.equal(frames_of(row.output), whole)


def test_pieces_of_another_config_are_not_taken(row: ClipRow, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = calls_of(monkeypatch, lambda number: KeyboardInterrupt() if number == 2 else None)
    with pytest.raises(KeyboardInterrupt):
        run_rows([row], splitting())
    other = attrs.evolve(row, config=build_config(settings=["seed=5"]))
    assert states(run_rows([other], splitting())) == ["edited"]
    assert len(calls) == 3 + len(SCENES)


def test_a_piece_that_fails_fails_its_clip(row: ClipRow, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        calls_of(patched, lambda number: ValueError("too dark") if number == 1 else None)
        (outcome,) = run_rows([row], splitting())
    assert outcome.state == "failed" and outcome.error == "too dark"
    assert names(row.output.parent) == [".a.mkv.lipar.json"]
    assert states(run_rows([row], splitting(retry_failed=True))) == ["edited"]


def test_a_piece_that_fails_with_a_helper_fails_its_clip(
    row: ClipRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun_split(row)
    calls_of(monkeypatch, lambda number: ValueError("too dark") if number == 1 else None)
    assert not splitting()._help(row)
    (outcome,) = run_rows([row], splitting())
    assert outcome.state == "failed" and outcome.error == "too dark"


def test_a_piece_that_kills_its_workers_fails_its_clip(row: ClipRow) -> None:
    split = begun_split(row)
    piece = split.files.edited_path(2)
    write_record(piece, Record(state="begun", made_of={}, attempts=3))
    (outcome,) = run_rows([row], splitting())
    assert outcome.state == "failed"
    assert "the worker was killed 3 times while it edited piece 3 of this clip" in (outcome.error or "")
    assert not pieces_folder(row.output).exists()


def test_a_worker_that_is_killed_after_it_finished_pieces_is_not_counted_against_the_clip(
    row: ClipRow, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = PieceFiles.write_edited

    def watched(self: PieceFiles, index: int, piece: Any) -> None:
        record = read_record(row.output)
        assert record is not None
        seen.append(record.attempts)
        real(self, index, piece)

    monkeypatch.setattr(PieceFiles, "write_edited", watched)
    run_rows([row], splitting())
    assert seen == [1, 0, 0, 0]
