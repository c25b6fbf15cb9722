"""`lipar ablate`: every recovery strategy on the same clips, seeds and masks."""

from pathlib import Path

import attrs
import click

from lipar.bounds import Within
from lipar.cli.loading import importing
from lipar.cli.number import CLIP_FRAMES, ROUNDS, SIDE, NumberType
from lipar.cli.output import complain, say
from lipar.config import build_config
from lipar.wording import counted
from lipar_lab.ablation.rows import ROWS, Row, chosen_rows, row_config

CLIPS = Within(1, 10**6, "clips to draw and to edit in every row")
WORKERS = Within(1, 1024, "processes, each with a model of its own")


class FractionsType(click.ParamType[tuple[float, ...]]):
    """`0.7,0.5`: numbers above 0 and up to 1."""

    name = "LIST"

    def convert(
        self, value: str | tuple[float, ...], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of numbers; write for instance 0.7,0.5", param, ctx)
        if not all(0 < number <= 1 for number in numbers):
            self.fail(f"numbers above 0 and up to 1, got {value!r}", param, ctx)
        return tuple(dict.fromkeys(numbers))


@attrs.frozen(kw_only=True)
class Size:
    """What an option is where it is not given."""

    clips: int = 24
    frames: int = 60
    size: int = 256
    kept: tuple[float, ...] = (0.7, 0.5, 0.3)
    strengths: tuple[float, ...] = (0.2, 0.4, 0.8)
    rows: tuple[str, ...] | None = None
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
@click.argument("files", nargs=-1, type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option("--out", required=True, type=click.Path(path_type=Path), help="Folder for record and tables.")
@click.option("--prompt", "prompts", multiple=True, help="For FILES; several rotate over them.")
@click.option("--model", metavar="NAME", help="Adapter to use; `lipar models` lists them.  [default: tiny]")
@click.option(
    "--config",
    "config_file",
    type=click.Path(path_type=Path),
    help="TOML file; see docs/reference/config.md.",
)
@click.option("--preset", metavar="NAME", help="Begin from a preset.")
@click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", help="One value for all rows.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="KEY=VALUE[;KEY=VALUE]",
    help="A row of your own, e.g. noise=mine;noise.option=1.",
)
@click.option("--rows", help=f"Only these, with commas: {', '.join(row.name for row in ROWS)}.")
@click.option("--kept", type=FractionsType(), help="Kept fractions.  [default: 0.7,0.5,0.3]")
@click.option("--strengths", type=FractionsType(), help="[default: 0.2,0.4,0.8]")
@click.option("--clips", type=NumberType(CLIPS), help="How many clips the adapter makes.  [default: 24]")
@click.option("--frames", type=NumberType(CLIP_FRAMES), help="Pixel frames of a clip.  [default: 60]")
@click.option(
    "--size",
    type=NumberType(attrs.evolve(SIDE, low=16)),
    help="Pixels of a side of clips that are made.  [default: 256]",
)
@click.option("--photos", type=click.Path(path_type=Path, exists=True), help="Photographs for these clips.")
@click.option("--workers", type=NumberType(WORKERS), default=1, show_default=True, help="Processes.")
@click.option(
    "--timing-rounds", type=NumberType(attrs.evolve(ROUNDS, low=0)), help="0: no timing.  [default: 3]"
)
@click.option("--mechanism", is_flag=True, help="Also measure donors and attention against the dense run's.")
@click.option("--quick", is_flag=True, help="Two small clips and few rows, for a first look.")
@click.option("--device", default=None, help="[default: cuda where there is one]")
@click.option("--quiet", is_flag=True, help="No progress bar.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def ablate(
    files: tuple[Path, ...],
    out: Path,
    prompts: tuple[str, ...],
    model: str | None,
    config_file: Path | None,
    preset: str | None,
    settings: tuple[str, ...],
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
    debug: bool,
) -> None:
    """Run every recovery strategy on the same clips, seeds and keep masks, and print how near each stays to dense.

    Clips are FILES, or, without any, clips that the model's adapter makes with their exact edits (tiny does). Masks
    are brought to each kept fraction through the thresholds, once per clip. An interrupted run goes on from --out.
    """
    usual = QUICK if quick else FULL
    if files and not prompts:
        raise click.UsageError("FILES need a --prompt")
    if prompts and not files:
        raise click.UsageError("--prompt is for FILES; clips that the adapter makes have their own")
    with importing(quiet=quiet):
        from lipar.cli.device import pick_device
        from lipar.cli.host import plugin_host
        from lipar_lab.ablation.clips import ClipSource
        from lipar_lab.ablation.plan import Plan, reason_it_cannot_run
        from lipar_lab.ablation.run import run_ablation

    base_settings: list[str | dict[str, str]] = [*settings]
    if model is not None:
        base_settings.insert(0, {"adapter": model})
    extra = [Row(name=variant, settings=tuple(variant.split(";"))) for variant in variants]
    names = tuple(name.strip() for name in rows.split(",")) if rows is not None else usual.rows
    host = plugin_host()
    configs, runnable, left_out = {}, [], {}
    for row in chosen_rows(names, extra):
        config = row_config(row, preset=preset, file=config_file, settings=base_settings)
        reason = reason_it_cannot_run(host, config)
        if reason is None:
            configs[row.name] = config
            runnable.append(row)
        elif row.how == "dense":  # every other row is measured against it
            raise click.UsageError(reason)
        elif row in extra:
            raise click.UsageError(f"--variant {row.name}: {reason}")
        else:
            left_out[row.name] = reason
            complain(f"not run: {row.name} ({reason})", fg="yellow")
    base = build_config(preset=preset, file=config_file, settings=base_settings)
    if base.prune.keep is not None or base.prune.quantile is not None:
        raise click.UsageError(
            "masks are brought to --kept through fixed thresholds; leave out prune.keep and prune.quantile"
        )
    plan = Plan(
        base=base,
        rows=tuple(runnable),
        configs=configs,
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
