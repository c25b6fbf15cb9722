"""`lipar edit` of several clips: what is printed of each, and of those that failed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lipar.batch.rows import ClipRow
from lipar.cli.loading import loading
from lipar.cli.output import complain, say
from lipar.messages import counted
from lipar.video.errors import VideoError

if TYPE_CHECKING:
    from lipar.batch.recipe import Outcome, Recipe
    from lipar.plugin.host import PluginHost

MOST_NAMED = 20
"""Failed clips that an error names at most."""


def edit_several(
    recipe: "Recipe", rows: Sequence[ClipRow], folder: Path, *, host: "PluginHost", quiet: bool
) -> None:
    """Edit clips one after another and print a line for each; at the end, failed ones are an error.

    Args:
        recipe: what the clips share.
        rows: the clips.
        folder: of the results.
        host: the plugins.
        quiet: show no progress bar.

    Raises:
        VideoError: clips failed; it names them.
    """
    from lipar.batch.models import LoadedModels
    from lipar.batch.plain import run_here
    from lipar.batch.record import folder_lock
    from lipar.batch.worker import ClipWorker
    from lipar.watch.progress import ProgressBar

    @contextmanager
    def watching(index: int, row: ClipRow) -> Iterator[None]:
        bar = ProgressBar(title=f"{index + 1} of {len(rows)}: {row.source.name}")
        with host.extended(*([] if quiet else [bar])):
            yield

    models = LoadedModels(
        host, recipe.device, recipe.dtype, loading=lambda name: loading(f"the model {name}", quiet=quiet)
    )
    worker = ClipWorker(recipe, host=host, models=models)
    outcomes: list[Outcome] = []
    with folder_lock(folder), resumable(outcomes, rows):
        for outcome in run_here(worker, rows, watching=watching):
            outcomes.append(outcome)
            tell(outcome, f"{len(outcomes)} of {len(rows)}", dense=recipe.options.dense)
    sum_up(outcomes)


@contextmanager
def resumable(outcomes: "Sequence[Outcome]", rows: Sequence[ClipRow]) -> Iterator[None]:
    """Within it, an interrupt says how many clips are finished and how to go on.

    Args:
        outcomes: of the clips so far.
        rows: all clips.
    """
    try:
        yield
    except BaseException as error:
        done = sum(not outcome.failed for outcome in outcomes)
        verb = "is" if 1 in (done, len(rows)) else "are"
        error.add_note(
            f"{done} of {counted(len(rows), 'clip')} {verb} finished; run the same command again to go on"
        )
        raise


def tell(outcome: "Outcome", head: str, *, dense: bool = False) -> None:
    """Print a line about a clip.

    Args:
        outcome: what became of it.
        head: stands before its name.
        dense: whether every token was computed.
    """
    row, report = outcome.row, outcome.report
    head = f"{head}: {row.source}"
    if outcome.state == "failed before":
        complain(f"{head} failed before and was not tried again: {outcome.error}", fg="red")
    elif outcome.error is not None:
        complain(f"{head} failed: {outcome.error}", fg="red")
    elif outcome.state == "there" or report is None:
        say(f"{head}: {row.output} is there already, made of the same")
    else:
        kept = "" if dense else f", kept {100 * report['kept_fraction']:.1f} %"
        say(
            f"{head} -> {row.output}: {counted(report['frames'], 'frame')} in {report['seconds']:.1f} s{kept}"
        )


def sum_up(outcomes: "Sequence[Outcome]") -> None:
    """Print how many clips there are of each kind.

    Args:
        outcomes: of all clips.

    Raises:
        VideoError: clips failed; it names them.
    """
    states = [outcome.state for outcome in outcomes]
    failed = [outcome for outcome in outcomes if outcome.failed]
    again = states.count("failed before")
    say(
        f"{counted(len(outcomes), 'clip')}: {states.count('edited')} edited, {states.count('there')} there already, "
        f"{len(failed)} failed"
    )
    if not failed:
        return
    told = [f"{outcome.row.source} ({outcome.error})" for outcome in failed[:MOST_NAMED]]
    more = [f"and {len(failed) - MOST_NAMED} more"] if len(failed) > MOST_NAMED else []
    hint = "; --retry-failed tries them again" if again else ""
    raise VideoError(
        f"{len(failed)} of {counted(len(outcomes), 'clip')} failed: {'; '.join([*told, *more])}{hint}"
    )
