"""Whether files can be read and written, checked before the work begins and before anything heavy is imported."""

import shutil
from collections.abc import Collection
from pathlib import Path

from lipar.files.owner import Outputs
from lipar.video.errors import VideoError, explain

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "webm"}
LEAST_FREE_BYTES = 2**20
NO_VIDEO = "give a video file such as .mp4, .mov, .mkv or .webm"


def check_source(path: Path) -> None:
    """Refuse a path at which there is no video, as far as this can be seen without reading it.

    Args:
        path: of a file; pipes and devices pass.

    Raises:
        VideoError: no such file, a directory, or an empty file.
    """
    if not path.exists():
        raise VideoError(f"no such file: {path}")
    if path.is_dir():
        raise VideoError(f"{path} is a directory; {NO_VIDEO}")
    if path.is_file() and path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes); copy or download it again")


def check_writable(
    path: str | Path, *, source: str | Path | None = None, suffixes: Collection[str] = CONTAINERS.keys()
) -> Path:
    """Check that a file can be written to a path before the work begins; gives the absolute path.

    Nothing is left behind, and an existing file is not touched.

    Args:
        path: where the file is to be written; an existing one will be replaced.
        source: the input, which must be another file.
        suffixes: endings that its name may have; the default is those of videos.

    Raises:
        VideoError: a wrong extension, no such folder, no right to write, no room, another run that is writing there,
            or output == input.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        came = f"ends in {path.suffix!r}" if path.suffix else "has no extension"
        among = "" if len(suffixes) == 1 else "one of "
        raise VideoError(f"output {path} {came}; it must end in {among}{', '.join(suffixes)}")
    try:
        return _checked(path, source, next(iter(suffixes)))
    except OSError as error:
        raise explain(error, path.parent) from error


def _checked(path: Path, source: str | Path | None, suffix: str) -> Path:
    # a link stays a link: the file that it points to is replaced
    try:
        target = path.resolve()
    except RuntimeError as error:  # raised by Python up to 3.12
        raise VideoError(f"output {path} is a link to itself; name another") from error
    if target.is_symlink():
        raise VideoError(f"output {path} is a link to itself; name another")
    if target.is_dir():
        raise VideoError(f"output {path} is a directory; name a file in it, such as {path / f'out{suffix}'}")
    if target.exists() and not target.is_file():
        raise VideoError(f"output {path} is not a regular file; name another")
    if source is not None and target.exists() and Path(source).exists() and target.samefile(source):
        raise VideoError(f"output {path} is the input itself; name another, since the input is left as it is")
    folder = target.parent
    if not folder.exists():
        raise VideoError(f"the folder {folder} of output {path.name} does not exist; make it first")
    if not folder.is_dir():
        raise VideoError(f"{folder} is a file, not a folder, so that {path.name} cannot be written in it")
    trial = Outputs()
    try:
        trial.claim(target)
    finally:
        trial.discard()
    if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
        raise VideoError(f"the disk of {folder} is full; free some space or write elsewhere")
    return target
