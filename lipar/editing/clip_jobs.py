"""Where the results of several clips go."""

from collections.abc import Sequence
from pathlib import Path

import attrs

from lipar.files.places import CONTAINERS, check_source, check_writable
from lipar.video.encoding import Encoding
from lipar.video.errors import VideoError

KEPT_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
"""A result may have the ending of its source, if it is one of these."""


@attrs.frozen
class ClipJob:
    """One of several clips."""

    source: Path
    output: Path


def jobs_for(clips: Sequence[Path], folder: Path, encoding: Encoding) -> list[ClipJob]:
    """A result in a folder for each clip, under the name of the clip; the folder is made where it does not exist.

    Args:
        clips: files.
        folder: of the results.
        encoding: a result has the ending of its clip where that can contain the codec, else .mp4 or .mkv.

    Raises:
        VideoError: two results would have one name, a clip is missing, or the folder cannot be written to.
    """
    taken: dict[str, Path] = {}
    jobs = []
    for clip in clips:
        suffixes = [own for own in (clip.suffix.lower(),) if own in KEPT_SUFFIXES]
        suffix = next(suffix for suffix in (*suffixes, ".mp4", ".mkv") if encoding.fits(suffix))
        name = clip.stem + suffix
        if name.lower() in taken:  # some file systems know one case only
            raise VideoError(
                f"{taken[name.lower()]} and {clip} would both be written to {folder / name}; rename one of them, or "
                "edit them into two folders"
            )
        taken[name.lower()] = clip
        jobs.append(ClipJob(clip, folder / name))
    for job in jobs:
        check_source(job.source)
    _make(folder)
    for job in jobs:
        check_writable(job.output, source=job.source, suffixes=CONTAINERS)
    return jobs


def check_folder(name: str) -> Path:
    """The folder that a user names for several results.

    Args:
        name: of a folder that exists, or can be made.

    Raises:
        VideoError: it is a file, or looks like one.
    """
    path = Path(name)
    if path.is_dir():
        return path
    if name == "-" or path.exists() or (path.suffix and not name.endswith("/")) or "%" in path.name:
        raise VideoError(
            f"several clips are written into a folder, and -o is {name}; name a folder, such as edited/"
        )
    if not path.resolve().parent.is_dir():
        raise VideoError(f"the folder {path.parent} of {path.name} does not exist; make it first")
    return path


def _make(folder: Path) -> None:
    try:
        folder.mkdir(exist_ok=True)
    except OSError as error:
        raise VideoError(f"{folder} cannot be made ({error.strerror}); choose another folder") from error
