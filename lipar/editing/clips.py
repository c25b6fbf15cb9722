"""The edit of several clips with one model: names, what need not be done again, and what failed."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import attrs

from lipar.config import Config
from lipar.editing.clip_jobs import ClipJob
from lipar.editing.run import edit_video
from lipar.events import EditOptions, EditReport
from lipar.files.owner import Outputs
from lipar.plugin.host import PluginHost
from lipar.protocols import Model

RECORD = "lipar-clips.json"
"""In the folder of the results: of what each was made."""


@attrs.frozen(kw_only=True)
class ClipOutcome:
    """What became of a clip."""

    job: ClipJob
    report: EditReport | None = None
    """None: it was finished before, or failed."""
    error: Exception | None = None


class ClipRecord:
    """What the finished clips of a folder were made of, in a file that is written after each of them.

    Args:
        folder: of the results.
        outputs: owns the file.
    """

    def __init__(self, folder: Path, outputs: Outputs) -> None:
        self._path = (folder / RECORD).resolve()
        self._outputs = outputs
        outputs.claim(self._path)
        self._made: dict[str, Any] = {}
        try:
            read = json.loads(self._path.read_text("utf-8"))
        except (OSError, ValueError):  # there is none, or it is of something else: all clips are edited
            return
        self._made = read if isinstance(read, dict) else {}

    def is_finished(self, job: ClipJob, made_of: str) -> bool:
        """Whether a result is there, unchanged, and was made of the same.

        Args:
            job: the clip.
            made_of: as `fingerprint` returns it.
        """
        known = self._made.get(job.output.name)
        return known == {"made_of": made_of, "file": _state(job.output)}

    def add(self, job: ClipJob, made_of: str) -> None:
        """Note a clip as finished.

        Args:
            job: the clip.
            made_of: as `fingerprint` returns it.
        """
        self._made[job.output.name] = {"made_of": made_of, "file": _state(job.output)}
        self._outputs.rewrite(self._path, json.dumps(self._made, indent=1, sort_keys=True) + "\n")


def _state(path: Path) -> list[int] | None:
    """Size and time of change of a file; None: there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def fingerprint(job: ClipJob, model: Model, config: Config, options: EditOptions, host: PluginHost) -> str:
    """A number that changes with everything a result depends on: source, options, config, versions, device.

    Args:
        job: the clip.
        model: gives device and number type.
        config: names and numbers of the run.
        options: of the edit.
        host: the plugins.
    """
    import torch

    from lipar import __version__

    made_of = {
        "source": [str(job.source.resolve()), _state(job.source)],
        "options": attrs.asdict(attrs.evolve(options, source=None, output=Path())),
        "config": attrs.asdict(config),
        "versions": [__version__, torch.__version__, sorted((str(p.name), p.version) for p in host.plugins)],
        "model": [str(model.device), str(model.dtype)],
    }
    text = json.dumps(made_of, default=str, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def edit_clips(
    model: Model,
    config: Config,
    options: EditOptions,
    jobs: Sequence[ClipJob],
    *,
    host: PluginHost,
    watching: Callable[[int, ClipJob], AbstractContextManager[None]],
) -> Iterator[ClipOutcome]:
    """Edit clips one after another; gives what became of each as soon as that is known.

    A clip that fails does not stop the others. One that was finished by an earlier call with the same settings is not
    edited again.

    Args:
        model: loaded, with an autoencoder; it is shared.
        config: names and numbers of the run.
        options: source and output are those of the clips.
        jobs: all in one folder.
        host: the plugins.
        watching: what a clip is edited within, by its index.

    Raises:
        VideoError: another run is writing to the folder.
    """
    with Outputs() as outputs:
        record = ClipRecord(jobs[0].output.parent, outputs)
        for index, job in enumerate(jobs):
            asked = attrs.evolve(options, source=job.source, output=job.output)
            made_of = fingerprint(job, model, config, asked, host)
            if record.is_finished(job, made_of):
                yield ClipOutcome(job=job)
                continue
            try:
                with watching(index, job):
                    report = edit_video(model, config, asked, host=host)
            except Exception as error:  # whatever is wrong with one clip, the others are edited
                yield ClipOutcome(job=job, error=error)
                continue
            record.add(job, made_of)
            yield ClipOutcome(job=job, report=report)
