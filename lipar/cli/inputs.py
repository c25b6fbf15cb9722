"""Options of `lipar edit` about its input, and what its arguments stand for."""

import functools
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from lipar.cli.debug import Function
from lipar.video.sources.part import Part
from lipar.video.sources.raw_format import RawFormat, frame_rate_of
from lipar.video.sources.reading import Reading


def input_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """`--range`, `--fps`, `--raw` and `--live`; the command receives them as one argument, `reading`."""
    declared: list[Callable[[Function], Function]] = [
        click.option(
            "--range", "part", metavar="FROM-TO", help="Edit only this part: 2s-5s, -5s, 2s- or 12f-40f."
        ),
        click.option("--fps", metavar="RATE", help="Rate of pictures, raw video or a camera.  [default: 25]"),
        click.option(
            "--raw", metavar="WxH[:PIX_FMT][@FPS]", help="The input is raw video, e.g. 640x480:rgb24@30."
        ),
        click.option("--live", is_flag=True, help="Read a pipe while it is written; without its sound."),
    ]

    @functools.wraps(function)
    def call(
        *args: Any, part: str | None, fps: str | None, raw: str | None, live: bool, **others: Any
    ) -> Any:
        reading = Reading(
            part=None if part is None else Part.of(part),
            frame_rate=None if fps is None else frame_rate_of(fps),
            raw=None if raw is None else RawFormat.of(raw),
            live=live,
        )
        return function(*args, reading=reading, **others)

    for option in reversed(declared):  # as decorators stand, the last one applies first
        call = option(call)
    return call


def readable(source: Path, reading: Reading) -> Path:
    """A source that can be read from the start again, also where it is a pipe; refuses what is no video.

    A live source is not read: what it gives now would be lost.

    Args:
        source: as the user named it.
        reading: what was said about it.

    Raises:
        VideoError: it cannot be read, or has no frame in the part.
    """
    from lipar.video.sources.choose import open_source
    from lipar.video.sources.kinds import kind_of
    from lipar.video.spool import seekable

    kind = kind_of(source, reading)
    if kind in ("raw", "live"):
        return source
    if kind == "file":
        source = click.get_current_context().with_resource(seekable(source))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come once, when the video is read
        open_source(source, reading).close()
    return source


def readable_mask(mask: Path) -> Path:
    """A mask that can be read from the start again, also where it is a pipe.

    Args:
        mask: as the user named it.

    Raises:
        VideoError: it is neither a video nor a picture.
    """
    from lipar.video import probe
    from lipar.video.spool import seekable

    path: Path = click.get_current_context().with_resource(seekable(mask))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come once, when the mask is read
        probe(path)
    return path
