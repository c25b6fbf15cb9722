"""A file that is there when it is complete, and not before."""

import contextlib
import errno
import secrets
import shutil
import signal
import threading
from collections.abc import Collection, Iterator
from pathlib import Path
from types import FrameType

from lipar.guard import Terminated
from lipar.video.errors import VideoError

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
LEAST_FREE_BYTES = 2**20


def check_writable(
    path: str | Path, *, source: str | Path | None = None, suffixes: Collection[str] = CONTAINERS.keys()
) -> Path:
    """Give the absolute output path once it is known that a file can be written there; call it up front.

    Nothing is left behind, and an existing file is not touched.

    Args:
        path: where the file is to go; an existing one there will be replaced.
        source: a file that must not be the same one.
        suffixes: what its name may end in; those of videos, unless given.

    Raises:
        VideoError: a wrong extension, no such folder, no right to write, no room, or output == input.
    """
    path = Path(path)
    if path.suffix.lower() not in suffixes:
        came = f"ends in {path.suffix!r}" if path.suffix else "has no extension"
        among = "" if len(suffixes) == 1 else "one of "
        raise VideoError(f"output {path} {came}; it must end in {among}{', '.join(suffixes)}")
    # a link stays a link: what it points to is replaced
    target = path.resolve()
    if target.is_dir():
        raise VideoError(
            f"output {path} is a directory; name a file in it, such as {path / f'out{next(iter(suffixes))}'}"
        )
    if target.exists() and not target.is_file():
        raise VideoError(f"output {path} is not a regular file; name another")
    if source is not None and target.exists() and Path(source).exists() and target.samefile(source):
        raise VideoError(f"output {path} is the input itself; name another, since the input is left as it is")
    folder = target.parent
    if not folder.exists():
        raise VideoError(f"the folder {folder} of output {path.name} does not exist; make it first")
    if not folder.is_dir():
        raise VideoError(f"{folder} is a file, not a folder, so that {path.name} cannot be written in it")
    _try_to_write(folder, target)
    if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
        raise VideoError(f"the disk of {folder} is full; free some space or write elsewhere")
    return target


def partial_path(target: Path) -> Path:
    """Give a name for the unfinished file: hidden, in the same folder so that renaming is atomic."""
    return target.with_name(f".{target.stem[:64]}.{secrets.token_hex(4)}.partial{target.suffix}")


def _try_to_write(folder: Path, target: Path) -> None:
    trial = partial_path(target)
    try:
        trial.touch(exist_ok=False)
    except OSError as error:
        raise explain(error, folder) from error
    finally:
        with contextlib.suppress(OSError):
            trial.unlink()


def explain(error: Exception, folder: Path, frames: int | None = None) -> VideoError:
    """Turn what the system said about writing into what a person can do about it."""
    after = f" after {frames} frames" if frames is not None else ""
    code = getattr(error, "errno", None)
    reason = getattr(error, "strerror", None) or str(error)
    if code in (errno.ENOSPC, errno.EDQUOT):
        return VideoError(
            f"no space left in {folder}{after}; free some or write elsewhere. No file was left behind"
        )
    if code in (errno.EACCES, errno.EPERM, errno.EROFS):
        return VideoError(f"{folder} cannot be written to ({reason}); choose another folder for the output")
    return VideoError(f"writing to {folder} failed{after} ({reason}); no file was left behind")


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """While inside, SIGTERM ends the program as an exception does, so that what is open is cleaned up.

    It raises `lipar.guard.Terminated`, a SystemExit with the code of a program that the signal ended, 143. Where
    somebody else answers the signal, or outside the main thread, which alone may, nothing changes.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        signal.signal(number, signal.SIG_IGN)  # a second one must not stop the cleaning up
        raise Terminated(128 + number)

    main = threading.current_thread() is threading.main_thread()
    if not main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def publish(partial: Path, target: Path) -> None:
    """Give the finished file its name."""
    partial.replace(target)


def discard(partial: Path) -> None:
    """Remove an unfinished file, if there is one."""
    with contextlib.suppress(OSError):
        partial.unlink()
