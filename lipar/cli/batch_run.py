"""The run of `lipar batch`: a line for each clip, a bar with the time left, the report at the end."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from tqdm import tqdm

from lipar.batch.models import LoadedModels
from lipar.batch.on_ray import Pool, run_on_ray
from lipar.batch.plain import run_here
from lipar.batch.recipe import Outcome, Recipe
from lipar.batch.record import folder_lock
from lipar.batch.report import lines_of, write_report
from lipar.batch.rows import ClipRow
from lipar.batch.tidy import tidy
from lipar.batch.worker import ClipWorker
from lipar.cli.clips import resumable, sum_up, tell
from lipar.cli.loading import loading
from lipar.cli.output import complain, say
from lipar.files.signals import Answered
from lipar.messages import escaped
from lipar.page import provenance
from lipar.plugin.host import PluginHost


def run_batch(
    recipe: Recipe, rows: Sequence[ClipRow], folder: Path, pool: Pool | None, *, host: PluginHost, quiet: bool
) -> None:
    """Edit clips and write the report, also where the run is interrupted.

    Args:
        recipe: what all clips share.
        rows: the clips.
        folder: of the results; exists.
        pool: workers of Ray; None: one in this process.
        host: the plugins of this process.
        quiet: show no progress bar.

    Raises:
        VideoError: clips failed; it names them. Or another run is writing to the folder.
        Exception: a model cannot be loaded.
    """
    outcomes: list[Outcome] = []
    with Answered(), folder_lock(folder), resumable(outcomes, rows):
        try:
            with _bar(len(rows), quiet=quiet) as bar:
                for outcome in _outcomes(recipe, rows, pool, host, quiet=quiet):
                    outcomes.append(outcome)
                    _show(outcome, f"{len(outcomes)} of {len(rows)}", bar, dense=recipe.options.dense)
        except BaseException:
            if pool is not None:
                tidy(rows)
            _write(folder, rows, outcomes, recipe, host)
            raise
        files = _write(folder, rows, outcomes, recipe, host)
    say(f"report: {', '.join(map(str, files))}")
    sum_up(outcomes)


def _outcomes(
    recipe: Recipe, rows: Sequence[ClipRow], pool: Pool | None, host: PluginHost, *, quiet: bool
) -> Iterator[Outcome]:
    if pool is not None:
        yield from run_on_ray(recipe, rows, pool)
        return
    models = LoadedModels(
        host, recipe.device, recipe.dtype, loading=lambda name: loading(f"the model {name}", quiet=quiet)
    )
    yield from run_here(ClipWorker(recipe, host=host, models=models), rows)


@contextmanager
def _bar(total: int, *, quiet: bool) -> Iterator["tqdm[Any]"]:
    # the mean over all clips: single ones differ too much to tell the time left
    with tqdm(total=total, unit="clip", desc="batch", disable=True if quiet else None, smoothing=0) as bar:
        yield bar


def _show(outcome: Outcome, head: str, bar: "tqdm[Any]", *, dense: bool) -> None:
    with ExitStack() as stack:
        if not bar.disable:
            stack.enter_context(bar.external_write_mode(file=sys.stderr))
        for warning in outcome.warnings:
            complain(f"warning: {outcome.row.source}: {warning}", fg="yellow")
        tell(outcome, head, dense=dense)
    if bar.disable:
        return
    if outcome.state in ("there", "failed before"):
        bar.initial += 1  # it took no time, so that it says nothing about the time left
    bar.update()
    bar.set_postfix_str(escaped(outcome.row.source.name), refresh=False)


def _write(
    folder: Path, rows: Sequence[ClipRow], outcomes: Sequence[Outcome], recipe: Recipe, host: PluginHost
) -> list[Path]:
    lines = lines_of(rows, outcomes)
    return write_report(folder, lines, recipe.metrics, provenance(plugins=host.plugins))
