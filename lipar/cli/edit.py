"""`lipar edit`: the main job on one video."""

import os
import time
import warnings
from pathlib import Path

import click

from lipar.cli.grouped import GroupedCommand
from lipar.cli.loading import importing, loading
from lipar.cli.options import DTYPE_NAMES, SizeType
from lipar.cli.output import say
from lipar.config import build_config, presets
from lipar.files.locks import check_unlocked
from lipar.files.places import CONTAINERS, check_writable
from lipar.video.errors import VideoError

_TABLE_ONLY = "table"
"""What `--profile` stands for without a file."""


@click.command(
    cls=GroupedCommand,
    groups={
        "Output": ["output", "overlay", "size"],
        "What is computed": ["model", "config_file", "preset", "settings", "strength", "seed", "dense"],
        "Where and how": ["resolution", "device", "dtype"],
        "Watching": ["profile", "log", "record_masks", "quiet", "debug"],
    },
)
@click.argument("source", required=False, type=click.Path(path_type=Path), metavar="[IN.mp4]")
@click.option("--prompt", required=True, help="What the result should look like.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Where to write the result."
)
@click.option("--model", metavar="NAME", help="Adapter to use; `lipar models` lists them.  [default: tiny]")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML file; see docs/reference/config.md.",
)
@click.option("--preset", metavar="NAME", help=f"Begin from a preset: {', '.join(presets())}.")
@click.option(
    "--set", "settings", multiple=True, metavar="KEY=VALUE", help="One value, e.g. prune.tau_short=0.1."
)
@click.option("--strength", type=float, help="How far to go from the source, 0..1.  [default: 0.4]")
@click.option("--seed", type=int, help="Seed of the noise.  [default: 0]")
@click.option("--dense", is_flag=True, help="Compute every token.")
@click.option(
    "--overlay", type=click.Path(path_type=Path), help="Also write the clip with pruned tokens shaded."
)
@click.option("--size", type=click.Choice(["source", "model"]), default="source", help="Size to write at.")
@click.option("--resolution", type=SizeType(), help="Size to process at.  [default: the model's own]")
@click.option("--device", default=None, help="cpu, cuda, cuda:1, ...  [default: cuda where there is one]")
@click.option("--dtype", type=click.Choice(DTYPE_NAMES), help="[default: bfloat16 on cuda, else float32]")
@click.option(
    "--profile",
    is_flag=False,
    flag_value=_TABLE_ONLY,
    metavar="[TRACE.json]",
    help="Print where the time went, per stage; with a file, also write a trace for ui.perfetto.dev.",
)
@click.option(
    "--log", type=click.Path(path_type=Path), metavar="EVENTS.jsonl", help="Write a JSON line per block."
)
@click.option(
    "--record-masks",
    type=click.Path(path_type=Path),
    metavar="MASKS.npy",
    help="Write the keep masks: bool, frames x rows x columns.",
)
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def edit(
    source: Path | None,
    prompt: str,
    output: Path,
    model: str | None,
    config_file: Path | None,
    preset: str | None,
    settings: tuple[str, ...],
    strength: float | None,
    seed: int | None,
    dense: bool,
    overlay: Path | None,
    size: str,
    resolution: tuple[int, int] | None,
    device: str | None,
    dtype: str | None,
    profile: str | None,
    log: Path | None,
    record_masks: Path | None,
    quiet: bool,
    debug: bool,
) -> None:
    """Edit a video by a prompt, computing only the tokens that changed.

    IN.mp4 is any video, or - for the standard input; without it, lipar makes a clip of its own. The result has the
    source's size, frames, timestamps, sound and the subtitles that its kind of file can hold. Nothing is written to -o
    until all of it is there; a trace, a log and recorded masks grow as the edit goes on, and an interrupted one leaves
    what it had.
    """
    if not prompt.strip():
        raise click.UsageError("--prompt is empty; say in a few words what the result should look like")
    # the model first, since a part named anew drops the options that were set before it
    chosen = [] if model is None else [{"adapter": model}]
    named = {"strength": strength, "seed": seed}
    direct = [{key: value} for key, value in named.items() if value is not None]
    config = build_config(preset=preset, file=config_file, settings=[*chosen, *settings, *direct])
    trace = Path(profile) if profile and profile != _TABLE_ONLY else None
    _check_paths(source, output, overlay, trace=trace, log=log, masks=record_masks)
    with importing(quiet=quiet):
        from lipar.cli.device import pick_device, pick_dtype
        from lipar.cli.host import plugin_host
        from lipar.cli.summary import summarise
        from lipar.editing.run import edit_video
        from lipar.events import EditOptions
        from lipar.plugin.compatibility import check_config
        from lipar.video import probe
        from lipar.video.spool import seekable
        from lipar.watch.event_log import EventLog
        from lipar.watch.masks import MaskRecorder
        from lipar.watch.profile import Profile
        from lipar.watch.progress import ProgressBar

        host = plugin_host()
        adapter = check_config(host, config, dense=dense)  # what cannot be is said before anything is loaded
        if source is not None:
            source = click.get_current_context().with_resource(seekable(source))
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they come once, when the video is read
                probe(source)
        torch_device = pick_device(device)
    with loading(f"the model {config.adapter.name}", quiet=quiet):
        start = time.perf_counter()
        loaded = adapter.load(torch_device, pick_dtype(dtype, torch_device))
        seconds = time.perf_counter() - start
    options = EditOptions(
        prompt=prompt,
        output=output,
        source=source,
        overlay=overlay,
        dense=dense,
        resolution=resolution,
        keep_source_size=size == "source",
    )
    profiled = Profile(trace) if profile else None
    watchers = [
        None if quiet else ProgressBar(),
        profiled,
        EventLog(log, tuple(host.plugins)) if log else None,
        MaskRecorder(record_masks) if record_masks else None,
    ]
    with host.extended(*filter(None, watchers)):
        report = edit_video(loaded, config, options, host=host)
    try:
        say(*summarise(report, options, config, seconds))
        if profiled is not None:
            say("", *profiled.table().splitlines())
    except OSError as error:  # nobody reads, or the disk is full
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
    """Refuse what cannot be written before anything is loaded."""
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
    # a video is written beside what is there and then takes its name; these are written where they are
    if path.exists() and not os.access(path, os.W_OK):
        raise VideoError(f"{path} is there and may not be written to; name another")
    check_unlocked(path)
