"""Inputs that can be read only once, such as pipes, copied to files."""

import os
import select
import shutil
import sys
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from lipar.files.signals import Answered
from lipar.video.errors import VideoError, VideoWarning

STANDARD_INPUT = Path("-")


@contextmanager
def seekable(path: str | Path) -> Iterator[Path]:
    """A file with the content of `path` that can be opened several times: usually `path` itself.

    A pipe is first copied to a temporary file, with a warning; the file is removed at the end of the context. `-` is
    the standard input.

    Raises:
        VideoError: `path` is a device, the standard input is a terminal, or there is no room for the copy.
    """
    path = Path(path)
    stdin = is_standard_input(path)
    if not stdin and not (path.is_fifo() or path.is_socket() or path.is_char_device()):
        yield path
        return
    if path.is_char_device() or (stdin and sys.stdin.isatty()):
        what = "the standard input is a terminal" if stdin else f"{path} is a device"
        raise VideoError(f"{what}, not a video; name a file, or write one into a pipe")
    name = "stdin" if stdin else path.name
    with Answered(), tempfile.TemporaryDirectory(prefix="lipar-") as folder:
        warnings.warn(
            f"{name} can be read only once, so that all of it is copied to a temporary file in {folder} first",
            VideoWarning,
            stacklevel=4,
        )
        copy = Path(folder) / name
        try:
            if stdin:
                _copy(sys.stdin.buffer, copy)
            else:
                with path.open("rb") as pipe:
                    _copy(pipe, copy)
        except OSError as error:
            reason = error.strerror or str(error)
            raise VideoError(
                f"{name} could not be copied to {folder} ({reason}); free some room, set TMPDIR to a folder that has "
                "it, or name a file"
            ) from error
        yield copy


def is_standard_input(path: Path) -> bool:
    """Whether a path is `-`, or one such as /dev/stdin of the pipe that the standard input reads from."""
    if path == STANDARD_INPUT:
        return True
    try:
        mine, given = os.fstat(sys.stdin.fileno()), path.stat()
    except (OSError, ValueError):
        return False
    return os.path.samestat(mine, given) and not path.is_file()


def _copy(pipe: BinaryIO, copy: Path) -> None:
    with copy.open("wb") as file:
        if os.name != "posix":  # only sockets can be waited for
            shutil.copyfileobj(pipe, file, 2**20)
            return
        # A signal that comes between Python's last look and a blocking read would wait for the next byte. So the wait
        # is bounded, and the read does not block.
        while True:
            ready, _, _ = select.select([pipe], [], [], 0.25)
            if not ready:
                continue
            chunk = os.read(pipe.fileno(), 2**20)
            if not chunk:
                return
            file.write(chunk)
