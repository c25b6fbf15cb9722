"""Figures of quality of a finished result, measured on the files as they are written."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import attrs
import torch

from lipar.events import EditOptions, EditReport
from lipar.metrics.stillness import PixelClip
from lipar.metrics.table import METRICS, Clips, measure
from lipar.video.reader import VideoReader
from lipar.video.sources.choose import open_source
from lipar.video.sources.reading import Reading


def measured(
    names: Sequence[str], options: EditOptions, *, dense: Callable[[EditOptions], EditReport]
) -> Mapping[str, float | None]:
    """The figures of a result; both clips are in memory as a whole.

    Args:
        names: of `lipar.metrics.table.METRICS`.
        options: of the edit, which is finished.
        dense: edits the clip again with every token computed, where a figure compares with that; it is given the
            options of this edit, whose output is a temporary file.

    Raises:
        VideoError: a file cannot be read.
    """
    assert options.source is not None
    result = _pixels(options.output)
    size = result.shape[-1], result.shape[-2]
    source = _pixels(options.source, size, options.reading)[: len(result)]
    compared = None
    if any(METRICS[name].against == "dense" for name in names) and not options.dense:
        with TemporaryDirectory(prefix="lipar-") as folder:
            path = Path(folder) / f"dense{options.output.suffix}"
            dense(attrs.evolve(options, dense=True, output=path))
            compared = _pixels(path)
    return measure(Clips(result=result, dense=compared, source=source), names)


def _pixels(path: Path, size: tuple[int, int] | None = None, reading: Reading | None = None) -> PixelClip:
    source = VideoReader(path) if reading is None else open_source(path, reading)
    try:
        if size is not None:
            source.size = size
        return torch.stack([frame.unit() for frame in source])
    finally:
        source.close()
