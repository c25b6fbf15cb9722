"""A worker: edits one clip at a time, or finds that it need not."""

import time
import traceback
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import attrs

from lipar.batch.figures import measured
from lipar.batch.fingerprint import Fingerprint, Fingerprints, digest_of
from lipar.batch.models import LoadedModels, Models
from lipar.batch.piece_files import PieceFiles, remove_pieces
from lipar.batch.recipe import Outcome, Recipe
from lipar.batch.record import PATIENCE, Record, alone_with, is_busy, read_record, this_worker, write_record
from lipar.batch.rows import ClipRow
from lipar.batch.split import WAIT, SplitEdit
from lipar.config import Config
from lipar.editing.run import edit_video
from lipar.editing.scenes import why_whole
from lipar.events import EditOptions
from lipar.files.content import Content
from lipar.files.locks import BusyError
from lipar.files.places import check_source
from lipar.messages import one_line
from lipar.plugin.host import PluginHost, load_plugins
from lipar.protocols import Model
from lipar.video.errors import VideoError

MOST_ATTEMPTS = 3
"""A clip on which the worker was killed so often is not begun again: it may be the clip that kills it."""


class ClipWorker:
    """Edits clips with one model, and keeps a record beside each output.

    Nothing is shared between workers but the files: a clip that two of them get at the same time is edited once.

    Args:
        recipe: what all clips share.
        host: the plugins; None: all that are installed.
        models: gives the models; None: they are loaded by their configs.
    """

    def __init__(
        self, recipe: Recipe, *, host: PluginHost | None = None, models: Models | None = None
    ) -> None:
        self.recipe = recipe
        self.host = host or load_plugins(own_only=recipe.own_plugins_only)
        self._models: Models = models or LoadedModels(self.host, recipe.device, recipe.dtype)
        self._fingerprints = Fingerprints(self.host)

    def run(self, row: ClipRow) -> Outcome:
        """What became of a clip; whatever is wrong with it, or with its output's folder, is part of that.

        A finished result appears by renaming, its record after it. A worker that is killed in between leaves a result
        that is made again.

        Args:
            row: the clip.

        Raises:
            Exception: the model cannot be loaded, which is no clip's fault.
        """
        try:
            with alone_with(row.output, patience=PATIENCE):
                return self._run(row)
        except BusyError as error:
            return Outcome(row=row, state="failed", error=f"{error}; it is not recorded as failed")
        except VideoError as error:  # the record itself cannot be written
            return Outcome(row=row, state="failed", error=one_line(error))

    def _run(self, row: ClipRow) -> Outcome:
        before = read_record(row.output)
        options = self.recipe.options_of(row)
        made_of = self._fingerprint(row.config, options, before)
        attempts = 1
        if before is not None and before.made_of == made_of.made_of:
            if _is_there(before, row):
                return Outcome(row=row, state="there", record=before)
            if before.state == "failed" and not self.recipe.retry_failed:
                return Outcome(row=row, state="failed before", error=before.error, record=before)
            attempts += before.attempts if before.state == "begun" else 0
        begun = Record(
            state="begun",
            made_of=made_of.made_of,
            attempts=attempts,
            contents=made_of.contents,
            worker=this_worker(),
        )
        if attempts > MOST_ATTEMPTS and not self.recipe.retry_failed:
            times = f"{MOST_ATTEMPTS} times"
            error_line = (
                f"the worker was killed {times} while it edited this clip, perhaps for want of memory"
            )
            return self._failed(row, attrs.evolve(begun, attempts=MOST_ATTEMPTS), error_line)
        start = time.perf_counter()
        try:
            check_source(row.source)
        except VideoError as error:
            return self._failed(row, begun, _said(error))
        model = self._models.get(row.config, options)
        write_record(row.output, begun)
        split = self._split(row, options, begun.made_of)
        try:
            if split is None:
                report, pieces = edit_video(model, row.config, options, host=self.host), None
            else:
                report, pieces = split.run(
                    progress=lambda: write_record(row.output, attrs.evolve(begun, attempts=0))
                )
            figures = self._figures(model, row.config, options)
        except Exception as error:  # whatever is wrong with one clip, the others are edited
            remove_pieces(row.output)
            return self._failed(row, attrs.evolve(begun, seconds=time.perf_counter() - start), _said(error))
        except BaseException:  # Ctrl-C: the clip is not to blame
            write_record(row.output, before)
            raise
        finished = attrs.evolve(
            begun,
            state="finished",
            contents={**begun.contents, "output": Content.of(row.output)},
            report=attrs.asdict(report),
            figures=figures,
            pieces=pieces,
            seconds=time.perf_counter() - start,
        )
        write_record(row.output, finished)
        remove_pieces(row.output)
        return Outcome(row=row, state="edited", record=finished)

    def _split(self, row: ClipRow, options: EditOptions, made_of: Mapping[str, Any]) -> SplitEdit | None:
        """The edit of a clip in pieces; None: it is edited as a whole."""
        if not self.recipe.split or why_whole(self.host, row.config, options) is not None:
            return None
        return SplitEdit(
            files=PieceFiles(output=row.output, key=digest_of(made_of)),
            config=row.config,
            options=options,
            host=self.host,
            model=lambda: self._models.get(row.config, options),
            most_attempts=MOST_ATTEMPTS,
        )

    def help(self, rows: Sequence[ClipRow]) -> None:
        """Edit pieces of clips that other workers own, until no clip is left that may get pieces.

        Args:
            rows: the clips, all of which are in the hands of workers or will be.

        Raises:
            Exception: a model cannot be loaded.
        """
        waiting = {row.output: time.monotonic() for row in rows}
        while waiting:
            helped = False
            for row in rows:
                if row.output not in waiting:
                    continue
                if self._is_ended(row) or time.monotonic() - waiting[row.output] > PATIENCE:
                    del waiting[row.output]
                    continue
                if is_busy(row.output):
                    waiting[row.output] = time.monotonic()
                    helped |= self._help(row)
            if waiting and not helped:
                time.sleep(WAIT)

    def _help(self, row: ClipRow) -> bool:
        record, options = read_record(row.output), self.recipe.options_of(row)
        split = None if record is None else self._split(row, options, record.made_of)
        if split is None or record is None or record.state != "begun":
            return False
        self._models.get(row.config, options)
        try:
            return split.help()
        except Exception:  # it is in the record of the piece, which the owner of the clip reads
            return False

    def _is_ended(self, row: ClipRow) -> bool:
        """Whether this run has nothing more to do for a clip."""
        options = self.recipe.options_of(row)
        if not self.recipe.split or why_whole(self.host, row.config, options) is not None:
            return True
        record = read_record(row.output)
        if record is None or record.state == "begun":
            return False
        return self._fingerprint(row.config, options, record).made_of == record.made_of

    def _failed(self, row: ClipRow, begun: Record, error: str) -> Outcome:
        record = attrs.evolve(begun, state="failed", error=error)
        write_record(row.output, record)
        return Outcome(row=row, state="failed", error=error, record=record)

    def _fingerprint(self, config: Config, options: EditOptions, before: Record | None) -> Fingerprint:
        weights, on = self._models.weights(config), self._models.on(config)
        found = self._fingerprints.of(config, options, weights=weights, on=on, known=before)
        # figures are part of the result: asked for later, they are measured with a new edit
        return attrs.evolve(found, made_of={**found.made_of, "metrics": list(self.recipe.metrics)})

    def _figures(self, model: Model, config: Config, options: EditOptions) -> Mapping[str, float | None]:
        if not self.recipe.metrics:
            return {}
        dense = partial(edit_video, model, config, host=self.host)
        return measured(self.recipe.metrics, options, dense=dense)


def _is_there(record: Record, row: ClipRow) -> bool:
    """Whether the result of a finished record is there, and is the same file or one of the same content."""
    if record.state != "finished":
        return False
    known = record.contents.get("output")
    try:
        return known is not None and Content.of(row.output, known).digest == known.digest
    except OSError:
        return False


def _said(error: Exception) -> str:
    """An error in a line; where it was raised is added to one that nobody expects."""
    line = one_line(error)
    if "(unexpected; run again with --debug to see where)" not in line:
        return line
    last = traceback.extract_tb(error.__traceback__)[-1]
    where = f"(unexpected; in {last.name}, {last.filename}, line {last.lineno})"
    return line.replace("(unexpected; run again with --debug to see where)", where)
