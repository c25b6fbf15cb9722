"""The bytes of a pipe while they come, for readers that can be stopped from another thread."""

import os
import select
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, cast, runtime_checkable

from lipar.video.errors import VideoError
from lipar.video.spool import is_standard_input

PATIENCE = 0.25
"""Seconds after which a wait for bytes looks whether it is to stop."""


@runtime_checkable
class Readable(Protocol):
    """What is used of a pipe."""

    def read(self, size: int, /) -> bytes:
        """Bytes, none at the end."""

    def fileno(self) -> int:
        """The number by which the system knows it."""

    def close(self) -> None:
        """Close it."""


class StreamInput:
    """Reads a pipe without seeking: what PyAV needs of a file.

    Args:
        path: of a pipe, or `-` for the standard input.

    Attributes:
        name: for messages.
        taken: bytes that were read.

    Raises:
        VideoError: it is a terminal, or cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self._close: Callable[[], None] | None = None
        if is_standard_input(path):
            if sys.stdin.isatty():
                raise VideoError("the standard input is a terminal, not a video; write one into a pipe")
            self.name = "stdin"
            self._file: Readable = sys.stdin.buffer
        else:
            self.name, self._file = path.name, _opened(path)
            self._close = self._file.close
        self.taken = 0
        self._stopped = False
        # a signal between Python's last look and a blocking read would wait for the next byte
        self._waits = os.name == "posix" and _has_descriptor(self._file)

    def read(self, size: int) -> bytes:
        """As many bytes as asked for; fewer at the end, or after `stop`.

        Args:
            size: most bytes.
        """
        pieces: list[bytes] = []
        left = size
        while left and (piece := self._piece(left)):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def _piece(self, size: int) -> bytes:
        while not self._stopped:
            if not self._waits:
                piece = self._file.read(size)
            elif select.select([self._file.fileno()], [], [], PATIENCE)[0]:
                piece = os.read(self._file.fileno(), size)
            else:
                continue
            self.taken += len(piece)
            return piece
        return b""

    def stop(self) -> None:
        """Have reads end, also those that wait."""
        self._stopped = True

    def close(self) -> None:
        """Close the pipe, unless it is the standard input."""
        if self._close is not None:
            self._close()


class Container:
    """What PyAV reads a container from: gives what has come instead of waiting for a whole buffer.

    Args:
        stream: the bytes.
    """

    def __init__(self, stream: StreamInput) -> None:
        self._stream = stream

    def read(self, size: int) -> bytes:
        """Bytes, at least one of them until the end.

        Args:
            size: most bytes.
        """
        return self._stream._piece(size)


def _opened(path: Path) -> Readable:
    try:
        return cast(Readable, path.open("rb", buffering=0))
    except OSError as error:
        raise VideoError(f"{path} cannot be read ({error.strerror}); name a pipe or a file") from error


def _has_descriptor(file: Readable) -> bool:
    try:
        file.fileno()
    except (OSError, ValueError):
        return False
    return True
