"""What is inside of files: digests, which are not computed again as long as a file was not touched."""

import hashlib
from pathlib import Path
from typing import Any

import attrs


def file_digest(path: Path) -> str:
    """SHA-256 of the bytes of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@attrs.frozen
class Content:
    """The content of a file at a moment."""

    digest: str
    """SHA-256 in hexadecimal."""
    stamp: tuple[int, ...]
    """Size, times of the last change of content and of status, number of the file: as long as they are the same, the
    content is. A program can set the second, but not the third, back."""

    @classmethod
    def of(cls, path: Path, known: "Content | None" = None) -> "Content":
        """The content of a file; it is read only if the file was touched since it was known.

        Args:
            path: of the file.
            known: what it was earlier.

        Raises:
            OSError: the file cannot be read.
        """
        stamp = _stamp(path)
        if known is not None and known.stamp == stamp:
            return known
        return cls(file_digest(path), stamp)

    @classmethod
    def read(cls, value: Any) -> "Content | None":
        """The content that `written` gave, after JSON; None: it is none."""
        match value:
            case [str(digest), [*stamp]]:
                return cls(digest, tuple(stamp))
        return None

    def written(self) -> list[Any]:
        """As a value for JSON."""
        return [self.digest, list(self.stamp)]


def _stamp(path: Path) -> tuple[int, ...]:
    found = path.stat()
    return found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino
