"""A worker: what failed does not stop the others, what is finished is not done again."""

import errno
import os
import shutil
from pathlib import Path

import attrs
import pytest
import torch
from batch_toys import OPTIONS, RECIPE, rows_of, run_rows, small_clips, states, toy_model, worker_of
from output_files import names

from lipar.batch.record import alone_with, read_record, record_path, write_record
from lipar.batch.worker import MOST_ATTEMPTS
from lipar.config import build_config
from lipar.editing.run import edit_video
from lipar.plugin.host import load_plugins
from lipar.video.sources.part import Part
from lipar.video.sources.reading import Reading


@pytest.fixture
def clips(tmp_path: Path) -> list[Path]:
    """Three clips, of which the second is none."""
    found = small_clips(tmp_path, "abc")
    found[1].write_bytes(b"no video")
    return found


def test_a_clip_that_fails_stops_no_other_and_each_is_as_if_edited_alone(
    clips: list[Path], tmp_path: Path
) -> None:
    outcomes = run_rows(rows_of(clips, tmp_path / "out"))
    assert states(outcomes) == ["edited", "failed", "edited"]
    assert "is no video that can be read" in (outcomes[1].error or "")
    records = [f".{name}.mp4.lipar.json" for name in "abc"]
    assert names(tmp_path / "out") == [*records, "a.mp4", "c.mp4"]
    alone = attrs.evolve(OPTIONS, prompt="night", source=clips[2], output=tmp_path / "alone.mp4")
    edit_video(toy_model(), build_config(), alone, host=load_plugins())
    assert (tmp_path / "alone.mp4").read_bytes() == (tmp_path / "out" / "c.mp4").read_bytes()


def test_a_second_run_edits_nothing_that_is_finished_and_retries_what_failed_only_when_asked_or_changed(
    clips: list[Path], tmp_path: Path
) -> None:
    rows = rows_of(clips, tmp_path / "out")
    run_rows(rows)
    again = run_rows(rows)
    assert states(again) == ["there", "failed before", "there"]
    assert "is no video that can be read" in (again[1].error or "")
    assert states(run_rows(rows, worker_of(retry_failed=True))) == ["there", "failed", "there"]
    small_clips(tmp_path, "b", frames=5)
    assert states(run_rows(rows)) == ["there", "edited", "there"]
    assert states(run_rows(rows)) == ["there"] * 3


def test_the_report_of_a_finished_clip_is_that_of_the_run_that_edited_it(tmp_path: Path) -> None:
    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    (edited,), (there,) = run_rows(rows), run_rows(rows)
    assert there.report is not None and edited.report is not None
    assert {**there.report, "source_size": (32, 32)} != {} and there.report["frames"] == 14
    assert there.report["kept_fraction"] == edited.report["kept_fraction"]


@pytest.mark.parametrize("what", ["prompt", "config", "part", "source", "result", "dtype", "record"])
def test_a_clip_is_edited_again_when_anything_it_was_made_of_changed(tmp_path: Path, what: str) -> None:
    (clip,) = small_clips(tmp_path, "a")
    out = tmp_path / "out"
    rows = rows_of([clip], out)
    run_rows(rows)
    worker = worker_of()
    if what == "prompt":
        rows = rows_of([clip], out, prompts=["day"])
    elif what == "config":
        rows = rows_of([clip], out, config=build_config(settings=["seed=3"]))
    elif what == "part":
        worker = worker_of(options=attrs.evolve(OPTIONS, reading=Reading(part=Part.of("2f-"))))
    elif what == "source":
        stamp = clip.stat()
        shutil.copy(small_clips(tmp_path, "z")[0], clip)
        os.utime(clip, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    elif what == "result":
        (out / "a.mp4").write_bytes(b"another")
    elif what == "record":
        record_path(out / "a.mp4").write_text("[]")
    else:
        worker = worker_of(model=toy_model(dtype=torch.float64))
    assert states(run_rows(rows, worker)) == ["edited"]
    assert states(run_rows(rows, worker)) == ["there"]


@pytest.mark.parametrize("what", ["touched", "moved"])
def test_a_clip_of_the_same_content_is_not_edited_again(tmp_path: Path, what: str) -> None:
    (clip,) = small_clips(tmp_path, "a")
    run_rows(rows_of([clip], tmp_path / "out"))
    if what == "touched":
        os.utime(clip, ns=(1, 1))
        os.utime(tmp_path / "out" / "a.mp4", ns=(1, 1))
    else:
        (tmp_path / "other").mkdir()
        clip = shutil.copy(clip, tmp_path / "other" / "a.mp4")
        shutil.copytree(tmp_path / "out", tmp_path / "there")
        shutil.rmtree(tmp_path / "out")
        (tmp_path / "there").rename(tmp_path / "out")
    assert states(run_rows(rows_of([clip], tmp_path / "out"))) == ["there"]


def test_a_missing_clip_is_recorded_and_edited_once_it_is_there(tmp_path: Path) -> None:
    rows = rows_of([tmp_path / "a.mp4"], tmp_path / "out")
    (outcome,) = run_rows(rows)
    assert outcome.state == "failed" and "no such file" in (outcome.error or "")
    assert states(run_rows(rows)) == ["failed before"]
    small_clips(tmp_path, "a")
    assert states(run_rows(rows)) == ["edited"]


def test_a_model_that_gives_nan_is_recorded_and_the_next_clip_is_edited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = toy_model()
    flow, calls = model.flow, []

    def poisoned(latents, timestep, attention):
        calls.append(1)
        return flow(latents, timestep, attention) * (float("nan") if len(calls) == 1 else 1)

    monkeypatch.setattr(model, "flow", poisoned)
    outcomes = run_rows(rows_of(small_clips(tmp_path, "ab"), tmp_path / "out"), worker_of(model=model))
    assert states(outcomes) == ["failed", "edited"]
    assert "NaN" in (outcomes[0].error or "")
    assert names(tmp_path / "out") == [".a.mp4.lipar.json", ".b.mp4.lipar.json", "b.mp4"]


def test_a_full_disk_is_recorded_and_leaves_no_partial_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from lipar.video.writer import VideoWriter

    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr(VideoWriter, "write_picture", full)
        (outcome,) = run_rows(rows)
    assert outcome.state == "failed" and "No space left" in (outcome.error or "")
    assert names(tmp_path / "out") == [".a.mp4.lipar.json"]
    assert states(run_rows(rows, worker_of(retry_failed=True))) == ["edited"]


def test_a_disk_too_full_for_the_record_fails_the_clip_and_not_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*arguments: object, **options: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr("lipar.batch.record.json.dump", full)
        (outcome,) = run_rows(rows)
    assert outcome.state == "failed" and "no space left in" in (outcome.error or "")
    assert names(tmp_path / "out") == []
    assert states(run_rows(rows)) == ["edited"]


def test_an_interrupt_ends_the_clip_and_leaves_its_record_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    with monkeypatch.context() as patched:
        patched.setattr("lipar.batch.worker.edit_video", interrupted)
        with pytest.raises(KeyboardInterrupt):
            run_rows(rows)
    assert names(tmp_path / "out") == []
    assert states(run_rows(rows)) == ["edited"]


def test_a_clip_that_kills_its_worker_again_and_again_is_recorded_as_failed(tmp_path: Path) -> None:
    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    run_rows(rows)
    record = read_record(rows[0].output)
    assert record is not None
    rows[0].output.unlink()
    for attempts, state in ((MOST_ATTEMPTS - 1, "edited"), (MOST_ATTEMPTS, "failed")):
        write_record(rows[0].output, attrs.evolve(record, state="begun", attempts=attempts))
        (outcome,) = run_rows(rows)
        assert outcome.state == state
        rows[0].output.unlink(missing_ok=True)
    assert "the worker was killed 3 times while it edited this clip" in (outcome.error or "")
    assert states(run_rows(rows)) == ["failed before"]
    assert states(run_rows(rows, worker_of(retry_failed=True))) == ["edited"]


def test_a_clip_that_another_worker_goes_on_editing_is_left_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lipar.batch.worker.PATIENCE", 0.0)
    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    with alone_with(rows[0].output):
        (outcome,) = run_rows(rows)
    assert outcome.state == "failed" and "another run is writing there" in (outcome.error or "")
    assert read_record(rows[0].output) is None
    assert states(run_rows(rows)) == ["edited"]


def test_a_model_that_cannot_be_loaded_ends_the_run_since_no_clip_is_to_blame(tmp_path: Path) -> None:
    class Broken:
        def on(self, config):
            return "cpu", "torch.float32"

        def weights(self, config):
            return ()

        def get(self, config, options):
            raise RuntimeError("out of memory")

    worker = worker_of()
    worker._models = Broken()
    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    with pytest.raises(RuntimeError, match="out of memory"):
        run_rows(rows, worker)
    assert names(tmp_path / "out") == []


def test_figures_are_measured_where_they_are_asked_for(tmp_path: Path) -> None:
    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    assert states(run_rows(rows)) == ["edited"]
    (outcome,) = run_rows(rows, worker_of(RECIPE, metrics=("psnr", "flicker")))
    assert outcome.state == "edited" and outcome.record is not None
    figures = outcome.record.figures
    assert set(figures) == {"psnr", "flicker"} and (figures["psnr"] or 0) > 10
    (dense,) = run_rows(rows, worker_of(metrics=("psnr",), options=attrs.evolve(OPTIONS, dense=True)))
    assert dense.record is not None and dense.record.figures == {"psnr": None}
