"""What the name of an output stands for, and whether it can be written; checked before anything heavy is imported."""

import os
import sys
from pathlib import Path
from typing import Literal

from lipar.files.places import CONTAINERS, check_writable
from lipar.video.errors import VideoError
from lipar.video.sources.names import NUMBERED

Kind = Literal["stream", "pictures", "gif", "file"]
USUAL_NAME = "%05d.png"
PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
FILES = (*CONTAINERS, ".gif")
"""Endings of files that an edit can write."""


def target_of(name: str | Path) -> Path:
    """The output that a user names; a folder stands for numbered pictures in it.

    Args:
        name: a file, `-` for the standard output, a folder (one that exists, or with a slash at its end), or the name
            of numbered pictures such as `frames/%05d.png`.
    """
    path = Path(name)
    is_folder = path.is_dir() or str(name).endswith(("/", os.sep))
    return path / USUAL_NAME if is_folder and str(name) != "-" else path


def kind_of_target(path: Path) -> Kind:
    """What an output is.

    Args:
        path: as `target_of` returns it.
    """
    if path == Path("-"):
        return "stream"
    if NUMBERED.search(path.name):
        return "pictures"
    return "gif" if path.suffix.lower() == ".gif" else "file"


def check_target(path: Path, *, source: Path | None = None) -> None:
    """Check that an output can be written before the work begins.

    Args:
        path: as `target_of` returns it.
        source: the input, which must be another file.

    Raises:
        VideoError: it cannot be written; the message says what to do.
    """
    kind = kind_of_target(path)
    if kind == "pictures":
        check_picture_folder(path)
    elif kind == "stream":
        if sys.stdout.isatty():
            raise VideoError(
                "the standard output is a terminal, which shows no video; write it into a pipe or a file"
            )
    else:
        check_writable(path, source=source, suffixes=FILES)


def check_picture_folder(path: Path) -> Path:
    """Check that numbered pictures can be written; gives the absolute path, with their folder's links resolved.

    Args:
        path: of a picture, with its number as in `%05d`.

    Raises:
        VideoError: a wrong ending, two numbers, pictures that are there already, or a folder that cannot be written to.
    """
    if path.suffix.lower() not in PICTURE_SUFFIXES:
        raise VideoError(f"pictures {path} must end in one of {', '.join(PICTURE_SUFFIXES)}")
    if len(NUMBERED.findall(path.name)) != 1 or path.name.count("%") != 1:
        raise VideoError(f"the pictures {path} must have one number in their name, such as {USUAL_NAME}")
    folder = path.parent.resolve()
    if folder.exists() and not folder.is_dir():
        raise VideoError(f"{folder} is a file, not a folder, so that no pictures can be written in it")
    if not folder.parent.is_dir():
        raise VideoError(f"the folder {folder.parent} of the pictures does not exist; make it first")
    first = next(iter(existing_pictures(folder / path.name)), None)
    if first is not None:
        raise VideoError(
            f"{folder} already has pictures of that name ({first.name}), which would be mixed with new ones; remove "
            "them, or name another folder"
        )
    above = folder if folder.exists() else folder.parent
    if not os.access(above, os.W_OK | os.X_OK):
        raise VideoError(f"{above} cannot be written to; choose another folder for the pictures")
    return folder / path.name


def existing_pictures(pattern: Path) -> list[Path]:
    """Pictures that are there under the name of new ones.

    Args:
        pattern: absolute, with a number such as `%05d`.
    """
    before, after = NUMBERED.split(pattern.name)[0], NUMBERED.split(pattern.name)[-1]
    if not pattern.parent.is_dir():
        return []
    return sorted(
        path
        for path in pattern.parent.iterdir()
        if path.name.startswith(before)
        and path.name.endswith(after)
        and path.name[len(before) : len(path.name) - len(after)].isdecimal()
    )
