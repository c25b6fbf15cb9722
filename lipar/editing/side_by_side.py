"""Source, dense and pruned edit side by side in one video."""

import tempfile
from contextlib import ExitStack
from pathlib import Path

import attrs
import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from lipar.config import Config
from lipar.editing.run import edit_video
from lipar.events import EditOptions, EditReport
from lipar.files.owner import Outputs
from lipar.files.places import CONTAINERS, check_writable
from lipar.plugin.host import PluginHost
from lipar.protocols import Model
from lipar.video import PixelFrame, VideoReader, VideoWriter
from lipar.video.errors import VideoError
from lipar.video.frame_source import FrameSource
from lipar.video.sinks.targets import kind_of_target
from lipar.video.sources.choose import open_source

TITLES = ("source", "dense", "pruned")
TITLE_ROWS = 24
"""Height of the bar with the titles, in pixels."""
WIDEST = 1280
"""Columns of each of the three pictures at most: wider ones exceed what players decode."""


def check_side_by_side(options: EditOptions, path: Path) -> None:
    """Refuse what has no three videos to show, before anything long begins.

    Args:
        options: of the pruned edit.
        path: where the three are written.

    Raises:
        ValueError: there is no source that can be read twice, or the edit is dense itself.
        VideoError: the output is not a file, or `path` cannot be written.
    """
    if options.source is None or options.reading.live or options.reading.raw is not None:
        raise ValueError("--side-by-side reads the source twice; name a file, or leave out --raw and --live")
    if options.dense or options.preview is not None:
        raise ValueError(
            "--side-by-side compares a pruned edit with a dense one; leave out --dense and --preview"
        )
    if kind_of_target(options.output) != "file":
        raise VideoError(
            f"--side-by-side takes the pruned edit from the output, so that {options.output} must be one of "
            f"{', '.join(CONTAINERS)}"
        )
    check_writable(path, source=options.source)
    if path.resolve() in {one.resolve() for one in (options.output, options.overlay) if one is not None}:
        raise ValueError(f"--side-by-side and another output are both {path}; name two files")
    if options.mask is not None and path.resolve() == options.mask.path.resolve():
        raise ValueError(f"the mask {path} would be overwritten; name another file for --side-by-side")


def edit_side_by_side(
    model: Model, config: Config, options: EditOptions, path: Path, *, host: PluginHost
) -> EditReport:
    """Edit a clip pruned and dense, and write source, dense and pruned edit in one video besides.

    The dense edit is a second edit of the whole clip, of which only this video remains.

    Args:
        model: loaded, with an autoencoder.
        config: names and numbers of the run.
        options: of the pruned edit, which writes its output as always.
        path: where the three are written.
        host: the plugins.

    Returns:
        The report of the pruned edit.

    Raises:
        VideoError: as `edit_video`.
        ValueError: as `check_side_by_side`.
    """
    check_side_by_side(options, path)
    with Outputs() as outputs, tempfile.TemporaryDirectory(prefix="lipar-") as folder:
        report = edit_video(model, config, options, host=host)
        dense = Path(folder) / f"dense{options.output.suffix}"
        edit_video(model, config, attrs.evolve(options, dense=True, output=dense, overlay=None), host=host)
        with ExitStack() as stack:
            assert options.source is not None
            videos = (
                stack.enter_context(_closing(open_source(options.source, options.reading))),
                stack.enter_context(VideoReader(dense)),
                stack.enter_context(VideoReader(options.output)),
            )
            _write(videos, path, options, stack, outputs)
        outputs.publish()
    return report


class _closing:
    def __init__(self, source: FrameSource) -> None:
        self._source = source

    def __enter__(self) -> FrameSource:
        return self._source

    def __exit__(self, *_: object) -> None:
        self._source.close()


def _write(
    videos: tuple[FrameSource, ...], path: Path, options: EditOptions, stack: ExitStack, outputs: Outputs
) -> None:
    """Write the frames of three videos in one, at the times of the first, with its sound."""
    source = videos[0]
    width, height = videos[2].shown_size
    scale = min(1.0, WIDEST / width)
    size = (2 * max(1, round(width * scale / 2)), 2 * max(1, round(height * scale / 2)))
    for video in videos:
        video.size = size
    bar = _titles(size[0])
    writer = stack.enter_context(
        VideoWriter(
            path,
            width=3 * size[0],
            height=size[1] + TITLE_ROWS,
            time_base=source.time_base,
            frame_rate=source.frame_rate,
            colour=source.colour,
            audio_from=source.sound,
            encoding=options.encoding,
            outputs=outputs,
        )
    )
    for frames in zip(*videos):
        row = torch.cat([_bytes(frame) for frame in frames], dim=2)
        writer.write(torch.cat((bar, row), dim=1), pts=frames[0].pts, duration=frames[0].duration)
    writer.close()


def _bytes(frame: PixelFrame) -> UInt8[Tensor, "3 h w"]:
    return frame.rgb if frame.rgb.dtype == torch.uint8 else frame.rgb.mul(255).round().to(torch.uint8)


def _titles(width: int) -> UInt8[Tensor, "3 rows w"]:
    from PIL import Image, ImageDraw

    picture = Image.new("RGB", (3 * width, TITLE_ROWS))
    draw = ImageDraw.Draw(picture)
    for place, title in enumerate(TITLES):
        draw.text((place * width + 6, 6), title, fill=(255, 255, 255))
    return torch.from_numpy(np.array(picture)).permute(2, 0, 1).contiguous()
