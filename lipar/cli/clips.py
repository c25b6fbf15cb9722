"""`lipar edit` of several clips: what is printed of each, and of those that failed."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from lipar.cli.output import complain, one_line, say
from lipar.config import Config
from lipar.messages import counted
from lipar.video.errors import VideoError

if TYPE_CHECKING:
    from lipar.editing.clip_jobs import ClipJob
    from lipar.events import EditOptions
    from lipar.plugin.host import PluginHost
    from lipar.protocols import Model


def edit_several(
    model: "Model",
    config: Config,
    options: "EditOptions",
    jobs: "Sequence[ClipJob]",
    *,
    host: "PluginHost",
    quiet: bool,
) -> None:
    """Edit clips one after another and print a line for each; at the end, failed ones are an error.

    Args:
        model: loaded; it is shared.
        config: names and numbers of the run.
        options: source and output are those of the clips.
        jobs: the clips.
        host: the plugins.
        quiet: show no progress bar.

    Raises:
        VideoError: clips failed; it names all of them.
    """
    from lipar.editing.clips import edit_clips
    from lipar.watch.progress import ProgressBar

    @contextmanager
    def watching(index: int, job: "ClipJob") -> Iterator[None]:
        bar = ProgressBar(title=f"{index + 1} of {len(jobs)}: {job.source.name}")
        with host.extended(*([] if quiet else [bar])):
            yield

    failed: list[tuple[ClipJob, str]] = []
    before = 0
    outcomes = edit_clips(model, config, options, jobs, host=host, watching=watching)
    for number, outcome in enumerate(outcomes, 1):
        job, report = outcome.job, outcome.report
        head = f"{number} of {len(jobs)}: {job.source}"
        if outcome.error is not None:
            failed.append((job, one_line(outcome.error)))
            complain(f"{head} failed: {failed[-1][1]}", fg="red")
        elif report is None:
            before += 1
            say(f"{head}: {job.output} is there already, made of the same")
        else:
            kept = "" if options.dense else f", kept {100 * report.kept_fraction:.1f} %"
            say(f"{head} -> {job.output}: {counted(report.frames, 'frame')} in {report.seconds:.1f} s{kept}")
    done = len(jobs) - before - len(failed)
    say(f"{counted(len(jobs), 'clip')}: {done} edited, {before} there already, {len(failed)} failed")
    if failed:
        told = "; ".join(f"{job.source} ({reason})" for job, reason in failed)
        raise VideoError(f"{len(failed)} of {counted(len(jobs), 'clip')} failed: {told}")
