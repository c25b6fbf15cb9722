"""What `lipar edit` refuses of its paths and options, before anything heavy is imported."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from lipar.files.locks import check_unlocked
from lipar.files.places import check_source, check_writable
from lipar.prompts import PromptSchedule
from lipar.video.errors import VideoError
from lipar.video.moment import Moment
from lipar.video.sinks.targets import FILES, check_target, kind_of_target
from lipar.video.sources.kinds import kind_of
from lipar.video.sources.reading import ALL, Reading
from lipar.video.spool import STANDARD_INPUT

PREVIEWS = (".png", ".jpg", ".jpeg")
"""Endings of the picture of `--preview`."""


def schedule_of(prompts: Sequence[str]) -> PromptSchedule:
    """The prompts of a command line.

    Args:
        prompts: the values of `--prompt`.

    Raises:
        UsageError: they are no schedule.
    """
    try:
        return PromptSchedule.parse(prompts)
    except ValueError as error:
        raise click.UsageError(f"--prompt: {error}") from error


def check_mask(mask: Path | None, *, invert: bool, feather: int | None) -> None:
    """Refuse options of a mask without one, and a mask that is missing.

    Args:
        mask: `--mask`.
        invert: `--mask-invert`.
        feather: `--mask-feather`.

    Raises:
        UsageError: there is no mask to invert or to feather.
        VideoError: the mask is no file.
    """
    if mask is not None:
        check_source(mask)
    elif invert or feather is not None:
        raise click.UsageError("--mask-invert and --mask-feather say how --mask is read; give --mask as well")


def refuse_for_several(given: Mapping[str, object], *, mask: Path | None) -> None:
    """Refuse options that are of one clip.

    Args:
        given: the options by their names; those that were not given have no value.
        mask: `--mask`.

    Raises:
        UsageError: one was given.
    """
    if mask is not None:
        raise click.UsageError("--mask is of one clip, and several came; edit each clip with its own mask")
    named = [option for option, value in given.items() if value]
    if named:
        raise click.UsageError(
            f"{', '.join(named)} cannot be used with several clips; edit the clips that need it one by one"
        )


def check_reading(source: Path | None, reading: Reading, output: Path, raw_output: str | None) -> None:
    """Refuse options of the input without one, and of the standard output without it.

    Args:
        source: the input; None: a generated clip.
        reading: what was said about it.
        output: as `target_of` returns it.
        raw_output: `--raw-output`.

    Raises:
        UsageError: what such an option is about is missing.
    """
    if source is None and reading != ALL:
        raise click.UsageError("--range, --fps, --raw and --live are about an input; name one")
    if raw_output is not None and kind_of_target(output) != "stream":
        raise click.UsageError(f"--raw-output is for the standard output; write -o - instead of -o {output}")


def check_paths(
    source: Path | None,
    output: Path,
    overlay: Path | None,
    preview: Moment | None,
    reading: Reading,
    *,
    trace: Path | None,
    log: Path | None,
    masks: Path | None,
) -> None:
    """Refuse what cannot be read or written before anything is loaded.

    Args:
        source: the input; None: a generated clip.
        output: as `target_of` returns it.
        overlay: `--overlay`.
        preview: `--preview`.
        reading: what was said about the input.
        trace: the file of `--profile`.
        log: `--log`.
        masks: `--record-masks`.

    Raises:
        VideoError: the input is no file, or an output cannot be written; the message names the option.
    """
    if source is not None and source != STANDARD_INPUT and kind_of(source, reading) == "file":
        check_source(source)
    asked: dict[str, tuple[Path | None, tuple[str, ...]]] = {
        "-o": (output, FILES if preview is None else PREVIEWS),
        "--overlay": (overlay, FILES),
        "--profile": (trace, (".json",)),
        "--log": (log, (".jsonl",)),
        "--record-masks": (masks, (".npy",)),
    }
    for option, (path, suffixes) in asked.items():
        if path is None:
            continue
        try:
            if suffixes is FILES:
                check_target(path, source=source)
                continue
            check_writable(path, source=source, suffixes=suffixes)
            if suffixes is not PREVIEWS:
                _check_growing(path)
        except VideoError as error:
            hint = "; to print the table alone, write --profile last" if option == "--profile" else ""
            raise VideoError(f"{option}: {error}{hint}") from error


def _check_growing(path: Path) -> None:
    # a video is written to a temporary file and renamed at the end; these files are written in place
    if path.exists() and not os.access(path, os.W_OK):
        raise VideoError(f"{path} exists and may not be written to; name another file")
    check_unlocked(path)
