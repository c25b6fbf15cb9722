"""Where the results of several clips go; what would be overwritten is refused before anything runs."""

import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

from lipar.files.places import CONTAINERS, LEAST_FREE_BYTES, check_source, check_writable
from lipar.video.encoding import Encoding
from lipar.video.errors import VideoError

KEPT_SUFFIXES = (".mp4", ".mov", ".mkv", ".webm")
"""A result may have the ending of its source, if it is one of these."""


def output_name(source: Path, encoding: Encoding) -> str:
    """The name of the result of a clip that is given none.

    Args:
        source: the clip.
        encoding: the result has the ending of its clip where that can contain the codec, else .mp4 or .mkv.
    """
    suffixes = [own for own in (source.suffix.lower(),) if own in KEPT_SUFFIXES]
    suffix = next(suffix for suffix in (*suffixes, ".mp4", ".mkv") if encoding.fits(suffix))
    return source.stem + suffix


def output_in(folder: Path, name: str, encoding: Encoding) -> Path:
    """The result of a name that a user gives.

    Args:
        folder: of the results.
        name: of the file; it may name folders below `folder`.
        encoding: of the results.

    Raises:
        VideoError: it lies outside the folder, is hidden, or is no video that can contain the codec.
    """
    path = folder / name
    inside = path.resolve().is_relative_to(folder.resolve()) and path.resolve() != folder.resolve()
    if not inside or Path(name).is_absolute():
        raise VideoError(f"{name!r} does not lie in {folder}; write a name, or a name in a folder below it")
    if path.name.startswith("."):
        raise VideoError(f"{name!r} is hidden; its name must not begin with a dot")
    if path.suffix.lower() not in CONTAINERS:
        raise VideoError(f"{name!r} must end in one of {', '.join(CONTAINERS)}")
    encoding.check_container(path)
    return path


def check_distinct(results: Iterable[tuple[Path, Path, str]], folder: Path, advice: str) -> None:
    """Refuse two results of one name.

    Args:
        results: clip, result, and where that is said (empty: nowhere but in the clip's name).
        folder: of the results.
        advice: what to do instead.

    Raises:
        VideoError: it names both clips.
    """
    taken: dict[str, tuple[Path, str]] = {}
    for source, output, where in results:
        name = str(
            output.resolve().relative_to(folder.resolve())
        ).lower()  # some file systems know one case only
        if name in taken:
            first, line = taken[name]
            at = f" ({line}; {where})" if where else ""
            raise VideoError(f"{first} and {source} would both be written to {output}{at}; {advice}")
        taken[name] = source, where


def named_results(
    clips: Sequence[Path], folder: Path, encoding: Encoding, *, check_sources: bool = True
) -> list[tuple[Path, Path]]:
    """A result in a folder for each clip, under the name of the clip; the folder is made where it does not exist.

    Args:
        clips: files.
        folder: of the results.
        encoding: see `output_name`.
        check_sources: whether a clip that is missing or empty is refused now.

    Raises:
        VideoError: two results would have one name, a clip is missing, or the folder cannot be written to.
    """
    results = [(clip, folder / output_name(clip, encoding)) for clip in clips]
    check_distinct(
        ((*pair, "") for pair in results),
        folder,
        "rename one of them, or edit them into two folders",
    )
    for clip in clips if check_sources else ():
        check_source(clip)
    make_folders(folder, [output for _, output in results])
    for clip, output in results:
        check_writable(output, source=clip, suffixes=CONTAINERS)
    return results


def make_folders(folder: Path, outputs: Iterable[Path]) -> None:
    """Make the folder of the results, and those below it.

    Args:
        folder: its parent exists.
        outputs: the results.

    Raises:
        VideoError: one cannot be made, or the disk is full.
    """
    for one in dict.fromkeys([folder, *(output.parent for output in outputs)]):
        try:
            one.mkdir(parents=one != folder, exist_ok=True)
        except OSError as error:
            raise VideoError(f"{one} cannot be made ({error.strerror}); choose another folder") from error
    if shutil.disk_usage(folder).free < LEAST_FREE_BYTES:
        raise VideoError(f"the disk of {folder} is full; free some space or write elsewhere")


def check_apart(sources: Iterable[Path], outputs: Iterable[Path]) -> None:
    """Refuse results that would replace clips.

    Args:
        sources: all clips.
        outputs: all results.

    Raises:
        VideoError: a result is one of the clips.
    """
    clips = {source.resolve() for source in sources}
    for output in outputs:
        if output.resolve() in clips:
            raise VideoError(
                f"{output} is one of the clips, which are left as they are; name another folder or output"
            )


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
