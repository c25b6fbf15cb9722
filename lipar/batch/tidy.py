"""After workers were ended on purpose: their unfinished files are removed, and no clip is held responsible."""

from collections.abc import Iterable
from contextlib import suppress

import attrs

from lipar.batch.piece_files import pieces_folder
from lipar.batch.record import alone_with, read_record, write_record
from lipar.batch.rows import ClipRow
from lipar.files.owner import Outputs
from lipar.video.errors import VideoError


def tidy(rows: Iterable[ClipRow]) -> None:
    """Undo what workers had begun that have ended since; what another process still works on is left alone.

    Args:
        rows: all clips of the batch.
    """
    for row in rows:
        record = read_record(row.output)
        if record is None or record.state != "begun":
            continue
        with suppress(VideoError), alone_with(row.output, patience=1.0):
            record = read_record(row.output)
            if record is None or record.state != "begun":
                continue
            with Outputs() as outputs:
                outputs.claim(row.output.resolve())  # removes the unfinished file of a process that has ended
            for path in pieces_folder(row.output).glob(".*.lipar.json"):
                path.unlink(missing_ok=True)
            left = attrs.evolve(record, attempts=record.attempts - 1)
            write_record(row.output, left if left.attempts else None)
