"""Which clips the inputs of a command are, where they are several."""

from collections.abc import Sequence
from pathlib import Path

from lipar.files.places import check_source
from lipar.video.errors import VideoError
from lipar.video.sources.kinds import CAMERA
from lipar.video.sources.names import CLIPS, PICTURES, files_of, is_pattern, matching, pictures_of
from lipar.video.spool import is_standard_input


def several_clips(inputs: Sequence[Path]) -> list[Path] | None:
    """The clips that inputs stand for; None: it is one input, or none.

    A folder of clips and a pattern such as `*.mp4` are several clips, even where there is only one.

    Args:
        inputs: as they were named: files, folders of clips, patterns.

    Raises:
        VideoError: one of several cannot be among several, such as a pipe, or does not exist.
    """
    if len(inputs) < 2:
        return None if not inputs else _below(inputs[0])
    clips: list[Path] = []
    for path in inputs:
        if is_standard_input(path) or path.is_fifo() or str(path).startswith(CAMERA):
            raise VideoError(f"{path} cannot be one of several inputs; edit it on its own")
        found = _below(path)
        if found is None:
            if path.is_dir() or is_pattern(path) or path.suffix.lower() in PICTURES[:4]:
                raise VideoError(
                    f"{path} is of pictures, which cannot be one of several inputs; to read pictures as one clip, name "
                    "their folder alone, or a pattern in quotes"
                )
            check_source(path)
            found = [path]
        clips += found
    return clips


def _below(path: Path) -> list[Path] | None:
    """The clips that a folder or a pattern stands for; None: it is neither, or one of pictures."""
    if not (path.is_dir() or is_pattern(path)) or pictures_of(path) is not None:
        return None
    return files_of(path, CLIPS) if path.is_dir() else matching(path)
