"""`lipar edit`: the main job on one video."""

import os
import time
import warnings
from pathlib import Path

import click
import torch

from lipar.bounds import shown
from lipar.cli.grouped import GroupedCommand
from lipar.cli.host import plugin_host
from lipar.cli.number import SIDE
from lipar.cli.output import say
from lipar.compatibility import check_config
from lipar.config import Config, build_config, presets
from lipar.edit import EditOptions, EditReport, edit_video
from lipar.watch.event_log import EventLog
from lipar.watch.masks import MaskRecorder
from lipar.watch.profile import Profile
from lipar.watch.progress import ProgressBar

_TABLE_ONLY = "table"
"""What `--profile` stands for without a file."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class SizeType(click.ParamType[tuple[int, int]]):
    """`WIDTHxHEIGHT`."""

    name = "WxH"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, x, height = value.lower().partition("x")
        if not x or not all(side.isascii() and side.isdigit() for side in (width, height)):
            self.fail(f"{shown(value)} is no size; write WIDTHxHEIGHT, for instance 256x256", param, ctx)
        if not all(len(side) < 20 and SIDE.low <= int(side) <= SIDE.high for side in (width, height)):
            self.fail(f"width and height must lie in {SIDE}, got {shown(value)}", param, ctx)
        return int(width), int(height)


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
    "--config", "config_file", type=click.Path(path_type=Path), help="TOML file; see docs/config.md."
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
@click.option("--dtype", type=click.Choice(sorted(DTYPES)), help="[default: bfloat16 on cuda, else float32]")
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

    IN.mp4 is any video; without it, lipar makes a clip of its own. The result has the source's size, frames,
    timestamps and sound. Nothing is written to -o until all of it is there; a trace, a log and recorded masks grow as
    the edit goes on, and an interrupted one leaves what it had.
    """
    if not prompt.strip():
        raise click.UsageError("--prompt is empty; say in a few words what the result should look like")
    # the model first, since a part named anew drops the options that were set before it
    chosen = [] if model is None else [{"adapter": model}]
    named = {"strength": strength, "seed": seed}
    direct = [{key: value} for key, value in named.items() if value is not None]
    config = build_config(preset=preset, file=config_file, settings=[*chosen, *settings, *direct])
    host = plugin_host()
    adapter = check_config(host, config, dense=dense)  # what cannot be is said before anything is loaded
    options = EditOptions(
        prompt=prompt,
        output=output,
        source=source,
        overlay=overlay,
        dense=dense,
        resolution=resolution,
        keep_source_size=size == "source",
    )
    trace = Path(profile) if profile and profile != _TABLE_ONLY else None
    _check_paths(options, trace=trace, log=log, masks=record_masks)
    torch_device = pick_device(device)
    torch_dtype = DTYPES[dtype] if dtype else torch.bfloat16 if torch_device.type == "cuda" else torch.float32
    start = time.perf_counter()
    loaded = adapter.load(torch_device, torch_dtype)
    loading = time.perf_counter() - start
    profiled = Profile(trace) if profile else None
    watchers = [
        None if quiet else ProgressBar(),
        profiled,
        EventLog(log, tuple(host.plugins)) if log else None,
        MaskRecorder(record_masks) if record_masks else None,
    ]
    with host.extended(*filter(None, watchers)):
        report = edit_video(loaded, config, options, host=host)
    say(*summarise(report, options, config, loading))
    if profiled is not None:
        say("", *profiled.table().splitlines())


def _check_paths(options: EditOptions, *, trace: Path | None, log: Path | None, masks: Path | None) -> None:
    """Refuse what cannot be written or read before a model is loaded."""
    from lipar.video import VideoError, check_writable, probe
    from lipar.video.output import CONTAINERS

    asked = {
        "-o": (options.output, CONTAINERS),
        "--overlay": (options.overlay, CONTAINERS),
        "--profile": (trace, (".json",)),
        "--log": (log, (".jsonl",)),
        "--record-masks": (masks, (".npy",)),
    }
    for option, (path, suffixes) in asked.items():
        if path is None:
            continue
        try:
            check_writable(path, source=options.source, suffixes=suffixes)
        except VideoError as error:
            hint = "; to print the table alone, write --profile last" if option == "--profile" else ""
            raise VideoError(f"{option}: {error}{hint}") from error
        # a video is written beside what is there and then takes its name; these are written where they are
        if suffixes is not CONTAINERS and path.exists() and not os.access(path, os.W_OK):
            raise VideoError(f"{option}: {path} is there and may not be written to; name another")
    if options.source is not None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they come once, when the video is read
            probe(options.source)


def pick_device(name: str | None) -> torch.device:
    """The device of that name, or the best there is.

    Raises:
        ValueError: there is no such device here.
    """
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"no device named {name!r}; write cpu, cuda or cuda:1") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(
            f"--device {name}, but this PyTorch ({torch.__version__}) sees no CUDA device; use cpu"
        )
    return device


def summarise(report: EditReport, options: EditOptions, config: Config, loading: float) -> list[str]:
    """The lines that `lipar edit` prints at the end."""
    size, processed = report.source_size, report.processed_size
    name = options.source.name if options.source else "a made-up clip"
    lines = [
        f"{name} -> {options.output}: {report.frames} frames of {size[0]}x{size[1]}, processed at "
        f"{processed[0]}x{processed[1]} with {config.adapter.name}, seed {config.seed}",
        _kept_line(report, options),
        f"{report.frames / report.seconds:.1f} frames/s from file to file ({report.seconds:.1f} s; "
        f"loading the model took {loading:.1f} s more)",
        "time: "
        + ", ".join(f"{stage} {seconds:.2f} s" for stage, seconds in _in_order(report.stage_seconds)),
    ]
    if report.speedup is not None and report.probed_kept_fraction is not None:
        blocks = "block" if report.probed_blocks == 1 else "blocks"
        lines.append(
            f"denoising + clean pass {report.speedup:.2f}x faster than computing every token "
            f"(measured on {report.probed_blocks} of {report.blocks} {blocks} run both ways, "
            f"{100 * report.probed_kept_fraction:.0f} % kept there)"
        )
    elif not options.dense:
        lines.append("speed-up not measured: the probed blocks were kept whole")
    return lines


def _kept_line(report: EditReport, options: EditOptions) -> str:
    if options.dense:
        return "computed every token (--dense)"
    line = f"kept {100 * report.kept_fraction:.1f} % of the tokens, skipped {100 * (1 - report.kept_fraction):.1f} %"
    if report.steady_kept_fraction is not None:
        line += (
            f" ({100 * report.steady_kept_fraction:.1f} % kept after the first block, which is always whole)"
        )
    if report.scene_cuts:
        frames = ", ".join(map(str, report.scene_cuts))
        line += f"; {len(report.scene_cuts)} scene cut(s), each with a whole block at frame {frames}"
    return line


def _in_order(seconds: dict[str, float]) -> list[tuple[str, float]]:
    order = ["decode", "encode", "mask", "DiT", "clean pass", "restore", "decode to pixels", "write"]
    return [(stage, seconds[stage]) for stage in order if stage in seconds]
