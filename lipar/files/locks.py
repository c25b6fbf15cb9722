"""Advisory locks on files that a run is writing; the system releases them when the process ends, however it ends."""

import contextlib
import os
import stat
from importlib import import_module
from pathlib import Path
from typing import Any

from lipar.video.errors import VideoError

fcntl: Any = None
with contextlib.suppress(ImportError):  # Windows has no flock
    fcntl = import_module("fcntl")

ATTEMPTS = 100
WAIT = "wait until it has ended, or name another file"


class BusyError(VideoError):
    """Another run is writing there at this moment."""


def take_lock(descriptor: int, *, wait: bool = False) -> bool | None:
    """Lock an open file.

    Args:
        descriptor: of the file.
        wait: wait until another process releases its lock.

    Returns:
        Whether the file is locked now; False: another process has locked it; None: the file system has no locks.
    """
    if fcntl is None:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def create_locked(path: Path) -> int:
    """Make a new file and lock it; a stale one of that name, whose process has ended, is removed first.

    Raises:
        VideoError: its process is running, or the file system has no locks, so that this is not known.
        OSError: the file cannot be made.
    """
    for _ in range(ATTEMPTS):
        try:
            # never open an existing file: it may be a link to something else
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            _remove_stale(path)
            continue
        try:
            # another run may be checking whether the file is stale; it releases its lock at once
            take_lock(descriptor, wait=True)
            if _is_at(descriptor, path):
                return descriptor
        except BaseException:
            path.unlink(missing_ok=True)
            os.close(descriptor)
            raise
        os.close(descriptor)
    raise BusyError(f"another run keeps making {path}; {WAIT}")


def _remove_stale(path: Path) -> None:
    if path.is_symlink():  # not made by lipar
        path.unlink(missing_ok=True)
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        locked = take_lock(descriptor)
        if locked and _is_at(descriptor, path):
            path.unlink()
    finally:
        os.close(descriptor)
    if locked is None:
        raise VideoError(
            f"{path} is there: another run is writing it, or left it when it was killed, and this file system has no "
            "locks that would tell; remove it if no other run is writing"
        )
    if not locked:
        raise BusyError(
            f"another run is writing there at this moment (its unfinished file is {path}); {WAIT}"
        )


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether a path still names the open file."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def check_unlocked(path: Path) -> None:
    """Refuse a file that another run's `GrowingFile` is writing.

    Raises:
        VideoError: another run has locked it.
    """
    with contextlib.suppress(FileNotFoundError, IsADirectoryError, PermissionError), path.open("rb") as file:
        if take_lock(file.fileno()) is False:
            raise BusyError(_busy(path))


def _busy(path: Path) -> str:
    return f"another run is writing to {path} at this moment; {WAIT}"


class GrowingFile:
    """A file that grows during a run, locked so that two runs never write to the same file.

    Writes are not buffered, so that the file is complete up to the last one, however the process ends.

    Args:
        path: an existing file there is replaced by `begin`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def begin(self, data: bytes) -> None:
        """Open and lock the file, and replace its content.

        Raises:
            VideoError: another run is writing to it.
        """
        self.end()
        # emptied only after it is locked, since it may be another run's
        self._descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o666)
        if take_lock(self._descriptor) is False:
            self.end()
            raise BusyError(_busy(self.path))
        self._write(data, os.SEEK_SET)
        if stat.S_ISREG(os.fstat(self._descriptor).st_mode):
            os.ftruncate(self._descriptor, len(data))

    def append(self, data: bytes) -> None:
        """Write bytes at the end."""
        self._write(data, os.SEEK_END)

    def overwrite_start(self, data: bytes) -> None:
        """Write over the first bytes."""
        self._write(data, os.SEEK_SET)

    def _write(self, data: bytes, whence: int) -> None:
        assert self._descriptor is not None, "begin() comes first"
        with contextlib.suppress(OSError):  # a pipe cannot seek
            os.lseek(self._descriptor, 0, whence)
        left = memoryview(data)
        while left:  # the system may write only a part, for example when a disk becomes full
            left = left[os.write(self._descriptor, left) :]

    def end(self) -> None:
        """Close the file and release the lock."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def __del__(self) -> None:
        self.end()
