"""`lipar ablate`: every recovery strategy on the same clips, seeds and masks."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import click

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
from lipar.config import Config
from lipar.messages import counted
from lipar_lab.ablation.rows import ROWS, Row, chosen_rows, row_config

if TYPE_CHECKING:
    from lipar.plugin.host import PluginHost

CLIPS = Within(1, 10**6, "clips to draw and to edit in every row")
WORKERS = Within(1, 1024, "processes, each with a model of its own")
FRACTIONS = NumbersType(0, 1, above=True)


@attrs.frozen(kw_only=True)
class Size:
    """How much is run: the value of each option that is not given."""

    clips: int = 24
    frames: int = 60
    """Pixel frames of a generated clip."""
    size: int = 256
    """Pixels of its sides."""
    kept: tuple[float, ...] = (0.7, 0.5, 0.3)
    strengths: tuple[float, ...] = (0.2, 0.4, 0.8)
    rows: tuple[str, ...] | None = None
    """None: all."""
    timing_rounds: int = 3
    mechanism_clips: int = 8


FULL = Size()
QUICK = Size(
    clips=2,
    frames=36,
    size=128,
    kept=(0.5,),
    strengths=(0.4,),
    rows=(
        *("other-seed", "none", "paper", "step-matched", "step-shift-in-block"),
        *("random", "ceiling", "ceiling-source"),
    ),
    timing_rounds=1,
    mechanism_clips=1,
)


@click.command()
@click.argument("files", nargs=-1, type=CLIP)
@click.option("--out", required=True, type=PATH, help="Folder for record and tables.")
@click.option("--prompt", "prompts", multiple=True, help="For FILES; several rotate over them.")
@config_options()
@variant_option("A row of your own, e.g. noise=mine;noise.option=1.")
@click.option("--rows", help=f"Only these, with commas: {', '.join(row.name for row in ROWS)}.")
@click.option("--kept", type=FRACTIONS, help="Kept fractions.  [default: 0.7,0.5,0.3]")
@click.option("--strengths", type=FRACTIONS, help="[default: 0.2,0.4,0.8]")
@click.option("--clips", type=NumberType(CLIPS), help="How many clips the adapter generates.  [default: 24]")
@click.option("--frames", type=NumberType(CLIP_FRAMES), help="Pixel frames of a clip.  [default: 60]")
@click.option(
    "--size",
    type=NumberType(attrs.evolve(SIDE, low=16)),
    help="Pixels of a side of generated clips.  [default: 256]",
)
@click.option("--photos", type=click.Path(path_type=Path, exists=True), help="Photographs for these clips.")
@click.option("--workers", type=NumberType(WORKERS), default=1, show_default=True, help="Processes.")
@click.option(
    "--timing-rounds", type=NumberType(attrs.evolve(ROUNDS, low=0)), help="0: no timing.  [default: 3]"
)
@click.option("--mechanism", is_flag=True, help="Also measure donors and attention against the dense run.")
@click.option("--quick", is_flag=True, help="Two small clips and few rows, for a first look.")
@device_option
@quiet_option
@debug_option
def ablate(
    files: tuple[Path, ...],
    out: Path,
    prompts: tuple[str, ...],
    choice: ConfigChoice,
    variants: tuple[str, ...],
    rows: str | None,
    kept: tuple[float, ...] | None,
    strengths: tuple[float, ...] | None,
    clips: int | None,
    frames: int | None,
    size: int | None,
    photos: Path | None,
    workers: int,
    timing_rounds: int | None,
    mechanism: bool,
    quick: bool,
    device: str | None,
    quiet: bool,
) -> None:
    """Run every recovery strategy on the same clips, seeds and keep masks, and print how near each stays to dense.

    Clips are FILES, or, without any, clips that the model's adapter generates with their exact edits (tiny does).
    Masks are brought to each kept fraction through the thresholds, once per clip. An interrupted run continues from
    --out.
    """
    usual = QUICK if quick else FULL
    if files and not prompts:
        raise click.UsageError("FILES need a --prompt")
    if prompts and not files:
        raise click.UsageError("--prompt is for FILES; clips that the adapter generates have their own")
    with importing(quiet=quiet):
        from lipar.cli.host import plugin_host
        from lipar.editing.model import pick_device
        from lipar_lab.ablation.clips import ClipSource
        from lipar_lab.ablation.plan import Plan
        from lipar_lab.ablation.run import run_ablation

    extra = [Row(name=variant, settings=tuple(variant.split(";"))) for variant in variants]
    names = tuple(name.strip() for name in rows.split(",")) if rows is not None else usual.rows
    base = _base_config(choice)
    configs, left_out = _runnable(plugin_host(), chosen_rows(names, extra), extra, choice)
    plan = Plan(
        base=base,
        rows=tuple(configs),
        configs={row.name: config for row, config in configs.items()},
        clips=ClipSource(
            paths=files,
            prompts=prompts,
            count=clips or usual.clips,
            pixel_frames=frames or usual.frames,
            size=size or usual.size,
            photos=photos,
        ),
        kept=kept or usual.kept,
        strengths=strengths or usual.strengths,
        device=str(pick_device(device)),
    )
    outcome = run_ablation(
        plan,
        out,
        workers=workers,
        timing_rounds=usual.timing_rounds if timing_rounds is None else timing_rounds,
        mechanism_clips=usual.mechanism_clips if mechanism else 0,
        left_out=left_out,
        quiet=quiet,
    )
    say(*outcome.text.splitlines())
    before = f", {outcome.resumed} of them on record before" if outcome.resumed else ""
    say(f"{counted(outcome.cells, 'cell')}{before}: {out / 'tables.md'}, {out / 'results.json'}")


def _base_config(choice: ConfigChoice) -> Config:
    """The config under all rows, whose thresholds the ablation sets itself."""
    base = choice.build()
    if base.prune.keep is not None or base.prune.quantile is not None:
        raise click.UsageError(
            "masks are brought to --kept through fixed thresholds; leave out prune.keep and prune.quantile"
        )
    return base


def _runnable(
    host: "PluginHost", rows: Sequence[Row], extra: Sequence[Row], choice: ConfigChoice
) -> tuple[dict[Row, Config], dict[str, str]]:
    """The rows that can run, each with its config, and why each other one is left out.

    Args:
        host: the plugins.
        rows: all chosen rows.
        extra: those of `--variant`, which must be able to run.
        choice: the config under all rows.

    Raises:
        UsageError: the dense row or a variant cannot run.
    """
    from lipar_lab.ablation.plan import reason_it_cannot_run

    configs, left_out = {}, {}
    for row in rows:
        config = row_config(row, preset=choice.preset, file=choice.file, settings=choice.all_settings)
        reason = reason_it_cannot_run(host, config)
        if reason is None:
            configs[row] = config
        elif row.how == "dense":  # every other row is measured against it
            raise click.UsageError(reason)
        elif row in extra:
            raise click.UsageError(f"--variant {row.name}: {reason}")
        else:
            left_out[row.name] = reason
            complain(f"not run: {row.name} ({reason})", fg="yellow")
    return configs, left_out
