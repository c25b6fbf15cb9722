"""`lipar edit`: edit one video."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from lipar import bounds
from lipar.batch.places import check_folder, named_results
from lipar.batch.rows import ClipRow
from lipar.cli.clips import edit_several
from lipar.cli.debug import RunState
from lipar.cli.edit_checks import check_mask, check_paths, check_reading, refuse_for_several, schedule_of
from lipar.cli.grouped import GroupedCommand
from lipar.cli.inputs import input_options, readable, readable_mask
from lipar.cli.loading import importing, loading
from lipar.cli.number import NumberType
from lipar.cli.options import (
    PATH,
    ConfigChoice,
    codec_option,
    config_options,
    debug_option,
    dense_option,
    device_option,
    dtype_option,
    engine_option,
    prompts_option,
    quality_option,
    quiet_option,
    resolution_option,
    seed_option,
    size_option,
    strength_option,
)
from lipar.cli.output import complain, say
from lipar.video.encoding import Encoding
from lipar.video.moment import Moment
from lipar.video.sinks.targets import kind_of_target, target_of
from lipar.video.sources.clips import several_clips
from lipar.video.sources.reading import Reading

if TYPE_CHECKING:
    from lipar.plugin.host import PluginHost
    from lipar.watch.profile import Profile

_TABLE_ONLY = "table"
"""The value of `--profile` without a file."""


@click.command(
    cls=GroupedCommand,
    groups={
        "Input": ["part", "fps", "raw", "live"],
        "Output": ["output", "overlay", "side_by_side", "preview", "size", "codec", "quality", "raw_output"],
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
        "What may change": ["mask", "mask_invert", "mask_feather"],
        "Where and how": ["resolution", "device", "dtype", "engine"],
        "Watching": ["profile", "log", "record_masks", "quiet", "debug"],
    },
)
@click.argument("sources", nargs=-1, type=PATH, metavar="[IN.mp4]...")
@prompts_option()
@input_options
@click.option(
    "-o", "--output", required=True, help="Where to write the result: a file, - or a folder of pictures."
)
@config_options()
@strength_option
@seed_option
@dense_option
@click.option("--overlay", type=PATH, help="Also write the clip with pruned tokens shaded.")
@click.option(
    "--side-by-side",
    type=PATH,
    metavar="ALL.mp4",
    help="Also write source, dense and pruned edit in one video; the dense one is a second edit.",
)
@click.option(
    "--preview", metavar="MOMENT", help="Write only a picture of 2.5s or of 40f: source, result, mask."
)
@click.option(
    "--mask", type=PATH, metavar="MASK.mp4|PNG", help="What may change: white; black stays as in the source."
)
@click.option("--mask-invert", is_flag=True, help="Black may change, white stays.")
@click.option(
    "--mask-feather",
    type=NumberType(bounds.FEATHER),
    metavar="PIXELS",
    help="Fade the edit in over so many pixels inside the mask's border.  [default: 0]",
)
@size_option
@codec_option
@click.option(
    "--raw-output", metavar="PIX_FMT", help="With -o -: raw video, e.g. rgb24, instead of Matroska."
)
@quality_option
@resolution_option
@device_option
@dtype_option
@engine_option
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
    sources: tuple[Path, ...],
    prompts: tuple[str, ...],
    reading: Reading,
    output: str,
    choice: ConfigChoice,
    strength: float | None,
    seed: int | None,
    dense: bool,
    overlay: Path | None,
    side_by_side: Path | None,
    preview: str | None,
    mask: Path | None,
    mask_invert: bool,
    mask_feather: int | None,
    size: str,
    codec: str | None,
    quality: str | None,
    raw_output: str | None,
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

    IN.mp4 is any video, a folder of pictures, - for the standard input, or camera:DEVICE; without it, lipar generates
    a clip. The result has the source's size, frames, timestamps, sound and the subtitles that its container can store.
    Nothing is written to -o until all of it is complete; a trace, a log and recorded masks grow during the edit, and an
    interrupted edit leaves what they contain so far. Ctrl-C ends a live input, and what came of it is edited to its
    end.

    Several clips, or a folder of clips, are edited with one model into the folder -o, each under its own name; clips
    that were finished with the same settings are not edited again.
    """
    schedule = schedule_of(prompts)
    check_mask(mask, invert=mask_invert, feather=mask_feather)
    clips = several_clips(sources)
    if clips is not None:
        refuse_for_several(
            {
                "--overlay": overlay,
                "--side-by-side": side_by_side,
                "--preview": preview,
                "--raw-output": raw_output,
                "--raw": reading.raw,
                "--live": reading.live,
                "--profile": profile,
                "--log": log,
                "--record-masks": record_masks,
            },
            mask=mask,
        )
    source = sources[0] if sources and clips is None else None
    target = target_of(output)
    encoding = Encoding.of(codec, quality, target)
    encoding.check_container(target, overlay, side_by_side)
    moment = None if preview is None else Moment.of(preview)
    named = {"strength": strength, "seed": seed, "run": None if engine is None else {"engine": engine}}
    config = choice.build(*({key: value} for key, value in named.items() if value is not None))
    trace = Path(profile) if profile and profile != _TABLE_ONLY else None
    rows = []
    if clips is None:
        check_paths(source, target, overlay, moment, reading, trace=trace, log=log, masks=record_masks)
        check_reading(source, reading, target, raw_output)
        if moment is not None and any((overlay, side_by_side, log, record_masks)):
            raise click.UsageError(
                "--preview writes one picture; leave out --overlay, --side-by-side, --log and --record-masks"
            )
    else:
        rows = [
            ClipRow(source=clip, output=result, prompts=schedule, config=config)
            for clip, result in named_results(clips, check_folder(output), encoding)
        ]
    with importing(quiet=quiet):
        from lipar.batch.recipe import Recipe
        from lipar.cli.host import plugin_host
        from lipar.cli.summary import summarise
        from lipar.editing.model import pick_device, pick_dtype
        from lipar.editing.run import edit_video
        from lipar.editing.side_by_side import check_side_by_side, edit_side_by_side
        from lipar.engines.engine import check_device
        from lipar.events import EditOptions, MaskChoice
        from lipar.memory.needs import MemoryRun
        from lipar.memory.report import warn_of_memory
        from lipar.plugin.compatibility import check_config
        from lipar.video.encoders import check_encoder
        from lipar.watch.profile import Profile

        check_encoder(encoding)
        host = plugin_host()
        # what cannot work is refused before the model is loaded
        adapter = check_config(host, config, dense=dense)
        source = None if source is None else readable(source, reading)
        what_may_change = None
        if mask is not None:
            what_may_change = MaskChoice(
                path=readable_mask(mask), invert=mask_invert, feather=mask_feather or 0
            )
        options = EditOptions(
            prompt=schedule.first,
            later_prompts=schedule.entries[1:],
            output=target,
            source=source,
            overlay=overlay,
            mask=what_may_change,
            dense=dense,
            resolution=resolution,
            keep_source_size=size == "source",
            encoding=encoding,
            reading=reading,
            preview=moment,
            raw_output=raw_output,
            memory_checked=True,
        )
        if side_by_side is not None:
            check_side_by_side(options, side_by_side)
        torch_device = pick_device(device)
        check_device(config.run.engine, torch_device, adapter.why_eager())
    if rows:
        # what failed is tried again: the command is run by hand
        recipe = Recipe(
            options=options,
            device=device,
            dtype=dtype,
            retry_failed=True,
        )
        edit_several(recipe, rows, Path(output), host=host, quiet=quiet)
        return
    number_type = pick_dtype(dtype, torch_device)
    warn_of_memory(
        adapter,
        MemoryRun(config=config, device=torch_device, dtype=number_type, resolution=resolution, dense=dense),
    )
    with loading(f"the model {config.adapter.name}", quiet=quiet):
        loaded = adapter.load(torch_device, number_type)
    profiled = Profile(trace) if profile else None
    with host.extended(*_watchers(host, profiled, log, record_masks, quiet=quiet)):
        start = click.get_current_context().ensure_object(RunState).seconds()
        if side_by_side is None:
            report = edit_video(loaded, config, options, host=host)
        else:
            report = edit_side_by_side(loaded, config, options, side_by_side, host=host)
    _print(summarise(report, options, config, start), profiled, target)


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
    # a video on the standard output leaves no room for text
    tell = complain if kind_of_target(output) == "stream" else say
    try:
        tell(*summary)
        if profile is not None:
            tell("", *profile.table().splitlines())
    except OSError as error:  # the reader of the output ended, or the disk is full
        error.add_note(f"the summary could not be printed, but {output} is complete")
        raise
