"""A clip in pieces that several workers edit: its owner, and workers that have no clip of their own.

The owner reads and encodes the clip, edits pieces as long as there are any, and joins them. A helper edits pieces of
clips that others own. Who edits which piece is decided by its lock, so that a worker which is killed leaves its piece
to the next.
"""

import time
from collections.abc import Callable, Iterator

import attrs

from lipar.batch.piece_files import PieceFiles
from lipar.batch.record import Record, alone_with, read_record, this_worker, write_record
from lipar.config import Config
from lipar.editing.run import edit_video
from lipar.editing.scenes import edit_piece, source_pieces
from lipar.events import EditOptions, EditReport
from lipar.files.locks import BusyError
from lipar.job import RestoredBlock
from lipar.messages import one_line
from lipar.plugin.host import PluginHost
from lipar.protocols import Model

WAIT = 0.1
"""Seconds after which a worker looks again whether another one has ended its piece."""


class PieceError(ValueError):
    """A piece of a clip cannot be edited."""


@attrs.frozen(kw_only=True)
class SplitEdit:
    """The edit of one clip in pieces."""

    files: PieceFiles
    config: Config
    options: EditOptions
    host: PluginHost
    model: Callable[[], Model]
    """Gives the loaded model, when it is needed."""
    most_attempts: int
    """How often a piece is begun at most."""

    def run(self, progress: Callable[[], None]) -> tuple[EditReport, int]:
        """Edit the clip as its owner; gives the report, and the number of pieces.

        Args:
            progress: called when a piece was edited here, so that a worker which is killed later has not done nothing.

        Raises:
            PieceError: a piece cannot be edited.
            VideoError: as `edit_video`.
        """
        count = self._sources()
        if count == 1:
            return edit_video(self.model(), self.config, self.options, host=self.host), 1
        while left := self._left(count):
            if not self._edit_free(left, progress):
                time.sleep(WAIT)  # others edit what is left
        return self._join(count), count

    def help(self) -> bool:
        """Edit pieces that nobody edits, where there are any; gives whether there were."""
        index = self.files.index()
        return index is not None and self._edit_free(self._left(index["count"]), lambda: None)

    def _sources(self) -> int:
        known = self.files.index()
        if known is not None:
            return int(known["count"])
        start = time.perf_counter()
        count = self.files.write_sources(source_pieces(self.model(), self.options))
        if count > 1:
            self.files.write_index(count, time.perf_counter() - start)
        return count

    def _left(self, count: int) -> list[int]:
        return [index for index in range(count) if not self.files.is_edited(index)]

    def _edit_free(self, left: list[int], progress: Callable[[], None]) -> bool:
        edited = False
        for index in left:
            try:
                with alone_with(self.files.edited_path(index), patience=0.0):
                    if not self.files.is_edited(index) and self.files.index() is not None:
                        self._edit(index)
                        progress()
                        edited = True
            except BusyError:
                continue
        return edited

    def _edit(self, index: int) -> None:
        model = self.model()  # that it cannot be loaded is not the piece's fault
        path = self.files.edited_path(index)
        before = read_record(path)
        attempts = 1 if before is None else before.attempts + 1
        if before is not None and before.state == "failed":
            raise PieceError(before.error or "a piece failed")
        begun = Record(
            state="begun",
            made_of={"key": self.files.key, "piece": index},
            attempts=attempts,
            worker=this_worker(),
        )
        try:
            if attempts > self.most_attempts:
                raise PieceError(
                    f"the worker was killed {self.most_attempts} times while it edited piece {index + 1} of this clip, "
                    "perhaps for want of memory"
                )
            write_record(path, begun)
            piece = edit_piece(model, self.config, self.options, self.files.source(index), host=self.host)
            self.files.write_edited(index, piece)
        except Exception as error:  # the owner of the clip reads it
            write_record(path, attrs.evolve(begun, state="failed", error=one_line(error)))
            raise
        except BaseException:  # Ctrl-C: the piece is not to blame
            write_record(path, before)
            raise
        write_record(path, None)

    def _join(self, count: int) -> EditReport:
        model = self.model()
        stages: dict[str, float] = {}
        seconds = 0.0

        def blocks() -> Iterator[RestoredBlock]:
            nonlocal seconds
            for index in range(count):
                piece = self.files.edited(index, model.device)
                if piece is None:
                    raise PieceError(f"piece {index + 1} of {count} is gone; run again")
                seconds += piece.seconds
                for stage, taken in piece.stage_seconds.items():
                    stages[stage] = stages.get(stage, 0.0) + taken
                yield from piece.blocks

        report = edit_video(model, self.config, self.options, host=self.host, blocks=blocks)
        encoding = float((self.files.index() or {}).get("seconds", 0.0))
        stages["encode"] = encoding
        for stage, taken in report.stage_seconds.items():
            stages[stage] = stages.get(stage, 0.0) + (0.0 if stage == "encode" else taken)
        return attrs.evolve(report, stage_seconds=stages, seconds=report.seconds + seconds + encoding)
