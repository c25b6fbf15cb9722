"""After workers were ended on purpose."""

from pathlib import Path

import attrs
from batch_toys import rows_of, run_rows, small_clips, states
from output_files import names

from lipar.batch.record import alone_with, read_record, write_record
from lipar.batch.tidy import tidy
from lipar.batch.worker import MOST_ATTEMPTS
from lipar.files.owner import unfinished_path


def test_an_interrupted_clip_is_not_held_responsible_and_its_unfinished_file_is_removed(
    tmp_path: Path,
) -> None:
    rows = rows_of(small_clips(tmp_path, "abc"), tmp_path / "out")
    run_rows(rows)
    record = read_record(rows[0].output)
    assert record is not None
    for row, attempts in zip(rows[:2], (1, MOST_ATTEMPTS)):
        row.output.unlink()
        unfinished_path(row.output.resolve()).write_bytes(b"half")
        write_record(row.output, attrs.evolve(record, state="begun", attempts=attempts))
    tidy(rows)
    assert names(tmp_path / "out") == [".b.mp4.lipar.json", ".c.mp4.lipar.json", "c.mp4"]
    left = read_record(rows[1].output)
    assert left is not None and left.attempts == MOST_ATTEMPTS - 1
    assert states(run_rows(rows)) == ["edited", "edited", "there"]


def test_what_another_process_works_on_is_left_alone(tmp_path: Path) -> None:
    rows = rows_of(small_clips(tmp_path, "a"), tmp_path / "out")
    run_rows(rows)
    record = read_record(rows[0].output)
    assert record is not None
    begun = attrs.evolve(record, state="begun")
    write_record(rows[0].output, begun)
    with alone_with(rows[0].output):
        tidy(rows)
    assert read_record(rows[0].output) == begun
