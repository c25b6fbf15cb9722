"""`lipar ablate`: the rows of a suite on the same clips, seeds and masks."""

from pathlib import Path
from typing import Any

import attrs
import click

from lipar import bounds
from lipar.bounds import Within
from lipar.cli.loading import importing
from lipar.cli.number import CLIP_FRAMES, ROUNDS, SIDE, NumbersType, NumberType
from lipar.cli.options import (
    CLIP,
    PATH,
    ConfigChoice,
    config_options,
    debug_option,
    device_option,
    quiet_option,
    variant_option,
)
from lipar.cli.output import complain, say
from lipar.config import Config, build_config
from lipar.config_tables import read_preset, read_toml
from lipar.messages import counted
from lipar_lab.ablation.overrides import Overrides
from lipar_lab.ablation.rows import Setting
from lipar_lab.ablation.suite import Suite, SuiteRow
from lipar_lab.ablation.suite_file import read_suite, suite_names

CLIPS = Within(1, 10**6, "clips to draw and to edit in every row")
WORKERS = Within(1, 1024, "processes, each with a model of its own")
FRACTIONS = NumbersType(0, 1, above=True)
SEEDS = NumbersType(bounds.SEED.low, bounds.SEED.high, int)


def _list_suites(context: click.Context, parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not context.resilient_parsing:
        for name in suite_names():
            suite = read_suite(name)
            say(
                f"{name}: {suite.title}",
                f"    {len(suite.rows)} rows: {', '.join(row.name for row in suite.rows)}",
            )
        context.exit()


@click.command()
@click.argument("files", nargs=-1, type=CLIP)
@click.option(
    "--suite",
    "suite_name",
    default="recovery",
    show_default=True,
    metavar="NAME|FILE.toml",
    help="What to run: a suite of lipar's, or a file of your own.",
)
@click.option(
    "--list-suites",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_suites,
    help="Name lipar's suites and their rows, and exit.",
)
@click.option("--out", required=True, type=PATH, help="Folder for record, tables and page.")
@click.option(
    "--prepare", is_flag=True, help="Of a suite with videos, make folders and lists only; run nothing."
)
@click.option("--prompt", "prompts", multiple=True, help="For FILES; several rotate over them.")
@click.option("--prompts-file", type=CLIP, help="Prompts for FILES, one a line, instead of --prompt.")
@config_options()
@variant_option("A row of your own, e.g. noise=mine;noise.option=1.")
@click.option("--rows", help="Only these rows of the suite, with commas.")
@click.option("--kept", type=FRACTIONS, help="Kept fractions.")
@click.option("--strengths", type=FRACTIONS, help="Strengths of the edit.")
@click.option("--seeds", type=SEEDS, help="Seeds of the noise.")
@click.option("--metrics", help="Figures in addition to the usual ones, with commas.")
@click.option("--lpips", type=CLIP, help="AlexNet's weights (torchvision's file): LPIPS is measured, too.")
@click.option("--clips", type=NumberType(CLIPS), help="How many clips the adapter generates.")
@click.option("--frames", type=NumberType(CLIP_FRAMES), help="Pixel frames of a clip.")
@click.option(
    "--size", type=NumberType(attrs.evolve(SIDE, low=16)), help="Pixels of a side of generated clips."
)
@click.option("--photos", type=click.Path(path_type=Path, exists=True), help="Photographs for these clips.")
@click.option("--workers", type=NumberType(WORKERS), default=1, show_default=True, help="Processes.")
@click.option("--timing-rounds", type=NumberType(attrs.evolve(ROUNDS, low=0)), help="0: no timing.")
@click.option("--mechanism", is_flag=True, help="Also measure donors and attention against the dense run.")
@click.option("--quick", is_flag=True, help="Few small clips and rows, for a first look.")
@device_option
@quiet_option
@debug_option
def ablate(
    files: tuple[Path, ...],
    suite_name: str,
    out: Path,
    prepare: bool,
    prompts: tuple[str, ...],
    prompts_file: Path | None,
    choice: ConfigChoice,
    variants: tuple[str, ...],
    rows: str | None,
    metrics: str | None,
    lpips: Path | None,
    timing_rounds: int | None,
    photos: Path | None,
    workers: int,
    mechanism: bool,
    quick: bool,
    device: str | None,
    quiet: bool,
    **typed: Any,
) -> None:
    """Run every row of a suite on the same clips, seeds and keep masks, and report how near each stays to dense.

    A suite is a TOML file with rows, what they are crossed with, clips and figures; options that are given replace
    what it says. Clips are FILES, or those of the suite, or, without any, clips that the model's adapter generates
    with their exact edits (tiny does). Masks are brought to each kept fraction through the thresholds, once per clip.
    An interrupted run continues from --out.
    """
    prompts = _prompts(files, prompts, prompts_file)
    overrides = Overrides(
        quick=quick,
        rows=_names(rows),
        extra=[SuiteRow(name=variant, settings=tuple(variant.split(";"))) for variant in variants],
        metrics=_names(metrics),
        files=files,
        prompts=prompts,
        rounds=timing_rounds,
        **typed,
    )
    suite = overrides.over(read_suite(suite_name))
    settings = _settings(suite, choice)
    base = _base_config(settings)
    with importing(quiet=quiet):
        from lipar.cli.host import plugin_host
        from lipar.editing.model import pick_device
        from lipar.files.tables import has_parquet
        from lipar.metrics.table import check_available
        from lipar_lab.ablation import vbench
        from lipar_lab.ablation.clips import ClipSource
        from lipar_lab.ablation.metric_table import metrics_with
        from lipar_lab.ablation.plan import planned, runnable
        from lipar_lab.ablation.rows import crossed_rows
        from lipar_lab.ablation.run import run_ablation

    weights = None if lpips is None else str(lpips.resolve())
    check_available(suite.metrics, metrics_with(weights))
    crossed = crossed_rows(suite)
    can, left_out = runnable(plugin_host(), suite, crossed, settings, base)
    _refuse_without(left_out, {row.dense for row in crossed}, variants)
    clips = ClipSource.of(suite.clips, photos=photos)
    plan = planned(suite, can, settings, clips, base=base, device=str(pick_device(device)), lpips=weights)
    if plan.videos is not None:
        videos = vbench.prepare(plan, out)
        say(f"{counted(len(videos), 'video')} in {out / 'videos'}, listed in {out / 'videos.json'}")
    elif prepare:
        raise click.UsageError(f"--prepare is for suites with videos, and {suite_name} has no table [videos]")
    if prepare:
        say(
            "the same command without --prepare makes them; then VBench rates them:",
            *vbench.commands(plan, out),
        )
        return
    outcome = run_ablation(
        plan,
        out,
        workers=workers,
        mechanism_clips=suite.mechanism_clips if mechanism else 0,
        left_out=left_out,
        quiet=quiet,
    )
    say(*outcome.text.splitlines())
    if not has_parquet():
        complain(
            "no cells.parquet, since pyarrow is not installed: pip install 'lipar[measure]'", fg="yellow"
        )
    if plan.videos is not None:
        say(
            "VBench rates the videos with these commands; the same command of lipar's then adds what it found:"
        )
        say(*vbench.commands(plan, out))
    before = f", {outcome.resumed} of them on record before" if outcome.resumed else ""
    say(f"{counted(outcome.cells, 'cell')}{before}: {', '.join(map(str, outcome.files))}")


def _prompts(files: tuple[Path, ...], typed: tuple[str, ...], file: Path | None) -> tuple[str, ...]:
    """The prompts for the files."""
    if typed and file is not None:
        raise click.UsageError("prompts come from --prompt or from --prompts-file, not from both")
    if file is not None:
        typed = tuple(line.strip() for line in file.read_text("utf-8").splitlines() if line.strip())
        if not typed:
            raise click.UsageError(f"{file} has no prompts; write one on each line")
    if files and not typed:
        raise click.UsageError("FILES need a --prompt")
    if typed and not files:
        raise click.UsageError(
            "--prompt is for FILES: what is pruned is read from a source clip, and clips that the adapter generates "
            "have prompts of their own"
        )
    return typed


def _names(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(name.strip() for name in text.split(","))


def _settings(suite: Suite, choice: ConfigChoice) -> list[Setting]:
    """What is set under all rows: by the suite, then by preset, file and options of the command line."""
    tables = [] if choice.preset is None else [read_preset(choice.preset)]
    tables += [] if choice.file is None else [read_toml(choice.file)]
    return [*suite.settings, *tables, *choice.all_settings]


def _base_config(settings: list[Setting]) -> Config:
    """The config under all rows, whose thresholds the ablation sets itself."""
    base = build_config(settings=settings)
    if base.prune.keep is not None or base.prune.quantile is not None:
        raise click.UsageError(
            "masks are brought to the kept fractions through fixed thresholds; leave out prune.keep and "
            'prune.quantile, except in rows with how = "own-mask"'
        )
    return base


def _refuse_without(left_out: dict[str, str], dense: set[str], variants: tuple[str, ...]) -> None:
    """Say which rows cannot run; refuse to run without a dense row that is needed, or without one that was typed."""
    for name, reason in left_out.items():
        if name in dense:  # other rows are measured against it
            raise click.UsageError(reason)
        if name in variants:
            raise click.UsageError(f"--variant {name}: {reason}")
        complain(f"not run: {name} ({reason})", fg="yellow")
