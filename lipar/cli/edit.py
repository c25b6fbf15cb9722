"""`lipar edit`: edit one video."""

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lipar.cli.debug import RunState
from lipar.cli.grouped import GroupedCommand
from lipar.cli.loading import importing, loading
from lipar.cli.options import (
    PATH,
    ConfigChoice,
    SizeType,
    config_options,
    debug_option,
    dense_option,
    device_option,
    dtype_option,
    prompt_option,
    quiet_option,
    seed_option,
)
from lipar.cli.output import say
from lipar.config import ENGINES
from lipar.files.locks import check_unlocked
from lipar.files.places import CONTAINERS, check_source, check_writable
from lipar.video.encoding import CODECS, Encoding
from lipar.video.errors import VideoError
from lipar.video.spool import STANDARD_INPUT

if TYPE_CHECKING:
    from lipar.plugin.host import PluginHost
    from lipar.video import VideoInfo
    from lipar.watch.profile import Profile

_TABLE_ONLY = "table"
"""The value of `--profile` without a file."""


@click.command(
    cls=GroupedCommand,
    groups={
        "Output": ["output", "overlay", "size", "codec", "quality"],
        "What is computed": [
            "model",
            "model_dir",
            "config_file",
            "preset",
            "settings",
            "strength",
            "seed",
            "dense",
        ],
        "Where and how": ["resolution", "device", "dtype", "engine"],
        "Watching": ["profile", "log", "record_masks", "quiet", "debug"],
    },
)
@click.argument("source", required=False, type=PATH, metavar="[IN.mp4]")
@prompt_option
@click.option("-o", "--output", required=True, type=PATH, help="Where to write the result.")
@config_options()
@click.option("--strength", type=float, help="How far to go from the source, 0..1.  [default: 0.4]")
@seed_option
@dense_option
@click.option("--overlay", type=PATH, help="Also write the clip with pruned tokens shaded.")
@click.option("--size", type=click.Choice(["source", "model"]), default="source", help="Size to write at.")
@click.option("--codec", metavar="NAME", help=f"One of {', '.join(CODECS)}.  [default: h264]")
@click.option(
    "--quality",
    metavar="[PRESET:]NUMBER",
    help="Number and preset of the codec, one of them or both, e.g. medium:18.  [default for h264: edit:17]",
)
@click.option("--resolution", type=SizeType(), help="Size to process at.  [default: the model's own]")
@device_option
@dtype_option
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    help="How passes are run.  [default: graphs on an NVIDIA GPU, else eager]",
)
@click.option(
    "--profile",
    is_flag=False,
    flag_value=_TABLE_ONLY,
    metavar="[TRACE.json]",
    help="Print where the time went, per stage; with a file, also write a trace for ui.perfetto.dev.",
)
@click.option("--log", type=PATH, metavar="EVENTS.jsonl", help="Write a JSON line per block.")
@click.option(
    "--record-masks",
    type=PATH,
    metavar="MASKS.npy",
    help="Write the keep masks: bool, frames x rows x columns.",
)
@quiet_option
@debug_option
def edit(
    source: Path | None,
    prompt: str,
    output: Path,
    choice: ConfigChoice,
    strength: float | None,
    seed: int | None,
    dense: bool,
    overlay: Path | None,
    size: str,
    codec: str | None,
    quality: str | None,
    resolution: tuple[int, int] | None,
    device: str | None,
    dtype: str | None,
    engine: str | None,
    profile: str | None,
    log: Path | None,
    record_masks: Path | None,
    quiet: bool,
) -> None:
    """Edit a video by a prompt, computing only the tokens that changed.

    IN.mp4 is any video, or - for the standard input; without it, lipar generates a clip. The result has the source's
    size, frames, timestamps, sound and the subtitles that its container can store. Nothing is written to -o until all
    of it is complete; a trace, a log and recorded masks grow during the edit, and an interrupted edit leaves what they
    contain so far.
    """
    if not prompt.strip():
        raise click.UsageError("--prompt is empty; say in a few words what the result should look like")
    encoding = Encoding.of(codec, quality)
    encoding.check_container(output, overlay)
    named = {"strength": strength, "seed": seed, "run": None if engine is None else {"engine": engine}}
    config = choice.build(*({key: value} for key, value in named.items() if value is not None))
    trace = Path(profile) if profile and profile != _TABLE_ONLY else None
    _check_paths(source, output, overlay, trace=trace, log=log, masks=record_masks)
    with importing(quiet=quiet):
        from lipar.cli.host import plugin_host
        from lipar.cli.summary import summarise
        from lipar.editing.model import pick_device, pick_dtype
        from lipar.editing.run import edit_video
        from lipar.engines.engine import check_device
        from lipar.events import EditOptions
        from lipar.memory.needs import MemoryRun
        from lipar.memory.report import warn_of_memory
        from lipar.plugin.compatibility import check_config
        from lipar.video.encoders import check_encoder
        from lipar.watch.profile import Profile

        check_encoder(encoding)
        host = plugin_host()
        # what cannot work is refused before the model is loaded
        adapter = check_config(host, config, dense=dense)
        source, info = (None, None) if source is None else _readable(source)
        torch_device = pick_device(device)
        check_device(config.run.engine, torch_device, adapter.why_eager())
    number_type = pick_dtype(dtype, torch_device)
    warn_of_memory(
        adapter,
        MemoryRun(
            config=config,
            device=torch_device,
            dtype=number_type,
            resolution=resolution,
            shown=None if info is None else (info.width, info.height),
            frames=None if info is None else info.frame_count,
            dense=dense,
        ),
    )
    with loading(f"the model {config.adapter.name}", quiet=quiet):
        loaded = adapter.load(torch_device, number_type)
    options = EditOptions(
        prompt=prompt,
        output=output,
        source=source,
        overlay=overlay,
        dense=dense,
        resolution=resolution,
        keep_source_size=size == "source",
        encoding=encoding,
        memory_checked=True,
    )
    profiled = Profile(trace) if profile else None
    with host.extended(*_watchers(host, profiled, log, record_masks, quiet=quiet)):
        start = click.get_current_context().ensure_object(RunState).seconds()
        report = edit_video(loaded, config, options, host=host)
    _print(summarise(report, options, config, start), profiled, output)


def _readable(source: Path) -> "tuple[Path, VideoInfo]":
    """A source that can be read from the start again, also where it is a pipe; refuses what is no video."""
    from lipar.video import probe
    from lipar.video.spool import seekable

    path: Path = click.get_current_context().with_resource(seekable(source))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they come once, when the video is read
        return path, probe(path)


def _watchers(
    host: "PluginHost", profile: "Profile | None", log: Path | None, masks: Path | None, *, quiet: bool
) -> list[Any]:
    """The plugins that observe the edit: progress bar, profile, event log and mask recorder."""
    from lipar.watch.event_log import EventLog
    from lipar.watch.masks import MaskRecorder
    from lipar.watch.progress import ProgressBar

    watchers: list[Any] = [] if quiet else [ProgressBar()]
    if profile is not None:
        watchers.append(profile)
    if log is not None:
        watchers.append(EventLog(log, tuple(host.plugins)))
    if masks is not None:
        watchers.append(MaskRecorder(masks))
    return watchers


def _print(summary: list[str], profile: "Profile | None", output: Path) -> None:
    try:
        say(*summary)
        if profile is not None:
            say("", *profile.table().splitlines())
    except OSError as error:  # the reader of the output ended, or the disk is full
        error.add_note(f"the summary could not be printed, but {output} is complete")
        raise


def _check_paths(
    source: Path | None,
    output: Path,
    overlay: Path | None,
    *,
    trace: Path | None,
    log: Path | None,
    masks: Path | None,
) -> None:
    """Refuse what cannot be read or written before anything is loaded."""
    if source is not None and source != STANDARD_INPUT:
        check_source(source)
    asked = {
        "-o": (output, CONTAINERS),
        "--overlay": (overlay, CONTAINERS),
        "--profile": (trace, (".json",)),
        "--log": (log, (".jsonl",)),
        "--record-masks": (masks, (".npy",)),
    }
    for option, (path, suffixes) in asked.items():
        if path is None:
            continue
        try:
            check_writable(path, source=source, suffixes=suffixes)
            if suffixes is not CONTAINERS:
                _check_growing(path)
        except VideoError as error:
            hint = "; to print the table alone, write --profile last" if option == "--profile" else ""
            raise VideoError(f"{option}: {error}{hint}") from error


def _check_growing(path: Path) -> None:
    # a video is written to a temporary file and renamed at the end; these files are written in place
    if path.exists() and not os.access(path, os.W_OK):
        raise VideoError(f"{path} exists and may not be written to; name another file")
    check_unlocked(path)
