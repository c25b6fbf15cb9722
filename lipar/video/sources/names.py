"""Which files a name stands for: a folder, a pattern, pictures in their natural order."""

import glob
import re
from collections.abc import Iterable
from pathlib import Path

from lipar.video.errors import VideoError

PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
"""Endings of pictures."""
CLIPS = (
    *(
        ".mp4",
        ".mov",
        ".mkv",
        ".webm",
        ".avi",
        ".m4v",
        ".mpg",
        ".mpeg",
        ".ts",
        ".m2ts",
        ".mts",
        ".flv",
        ".wmv",
    ),
    *(".ogv", ".3gp", ".y4m", ".mxf", ".gif"),
)
"""Endings of clips, as they are looked for in a folder; a file that is named may have any other."""
NUMBERED = re.compile(r"%(0\d+)?d")
"""The number of a picture in a name such as `%05d.png`, as in ffmpeg."""


def natural_order(paths: Iterable[Path]) -> list[Path]:
    """Paths in the order of the numbers in their names: `2.png` before `10.png`.

    Args:
        paths: in any order.
    """

    def key(path: Path) -> tuple[list[tuple[int, int | str]], str]:
        pieces = re.split(r"(\d+)", path.name.lower())
        return [(0, int(piece)) if piece.isdecimal() else (1, piece) for piece in pieces if piece], path.name

    return sorted(paths, key=key)


def is_pattern(path: Path) -> bool:
    """Whether a path that is no file itself stands for several: `*.mp4`, or `%05d.png`."""
    return not path.exists() and (glob.has_magic(str(path)) or NUMBERED.search(path.name) is not None)


def matching(pattern: Path) -> list[Path]:
    """The files that a pattern stands for, in natural order.

    Args:
        pattern: with `*`, `?` and `[...]`, or with one number such as `%05d` in its name.

    Raises:
        VideoError: no file matches.
    """
    numbered = NUMBERED.search(pattern.name)
    if numbered is None:
        found = [Path(path) for path in glob.glob(str(pattern), recursive=True)]  # noqa: PTH207 (of any root)
    else:
        before, after = pattern.name[: numbered.start()], pattern.name[numbered.end() :]
        digits = rf"\d{{{int(numbered[1])},}}" if numbered[1] else r"\d+"
        name = re.compile(re.escape(before) + digits + re.escape(after))
        folder = pattern.parent
        found = [path for path in folder.iterdir() if name.fullmatch(path.name)] if folder.is_dir() else []
    files = [path for path in found if path.is_file()]
    if not files:
        raise VideoError(f"no file matches {pattern}")
    return natural_order(files)


def files_of(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """The files of a folder with certain endings, in natural order; hidden ones are left out.

    Args:
        folder: is not searched below.
        endings: in small letters.
    """
    return natural_order(
        path
        for path in folder.iterdir()
        if path.is_file() and path.suffix.lower() in endings and not path.name.startswith(".")
    )


def pictures_of(path: Path) -> list[Path] | None:
    """The pictures of a clip that is given as a folder or a pattern; None: the path is neither, or of videos.

    Args:
        path: as a user names it.

    Raises:
        VideoError: no file matches, a folder has neither pictures nor clips, or both.
    """
    if is_pattern(path):
        found = matching(path)
        return found if all(one.suffix.lower() in PICTURES for one in found) else None
    if not path.is_dir():
        return None
    pictures, clips = files_of(path, PICTURES), files_of(path, CLIPS)
    if pictures and clips:
        raise VideoError(
            f"{path} holds {len(pictures)} pictures and {len(clips)} clips; name those that are meant, such as "
            f"{path / ('*' + pictures[0].suffix)} or {path / ('*' + clips[0].suffix)}"
        )
    if not pictures and not clips:
        raise VideoError(
            f"{path} holds neither clips nor pictures; name a folder of .mp4 or .png files, or a file"
        )
    return pictures or None
