"""`lipar plan`: what an edit will compute, and how long it will take, before the transformer runs."""

from pathlib import Path

import click

from lipar.bounds import Within
from lipar.cli.debug import Function
from lipar.cli.grouped import GroupedCommand
from lipar.cli.loading import importing
from lipar.cli.number import NumberType
from lipar.cli.options import (
    CLIP,
    PATH,
    ConfigChoice,
    config_options,
    debug_option,
    device_option,
    dtype_option,
    engine_option,
    json_option,
    quiet_option,
    resolution_option,
    strength_option,
)
from lipar.files.places import check_writable

FRAMES_PER_SECOND = Within(0.001, 10**5, "frames per second")


def calibration_option(function: Function) -> Function:
    """`--calibration FILE`, an argument for `lipar_lab.plan.store.calibration_path`."""
    return click.option(
        "--calibration",
        type=PATH,
        metavar="FILE",
        help="File of calibrations.  [default: $LIPAR_CALIBRATION, or lipar/calibration.json in the cache folder]",
    )(function)


@click.command(
    cls=GroupedCommand,
    groups={
        "What is computed": ["model", "config_file", "preset", "settings", "strength"],
        "Where and how": ["resolution", "device", "dtype", "engine", "calibration"],
    },
)
@click.argument("clips", nargs=-1, required=True, type=CLIP)
@config_options()
@strength_option
@resolution_option
@device_option
@dtype_option
@engine_option
@click.option(
    "--target-fps",
    type=NumberType(FRAMES_PER_SECOND, float),
    help="Find the largest prune.keep with which an edit reaches so many frames per second.",
)
@click.option(
    "--check", is_flag=True, help="Then run the model's part of the edit, and print how far off this was."
)
@calibration_option
@json_option("Also write the figures here.")
@quiet_option
@debug_option
def plan(
    clips: tuple[Path, ...],
    choice: ConfigChoice,
    strength: float | None,
    resolution: tuple[int, int] | None,
    device: str | None,
    dtype: str | None,
    engine: str | None,
    target_fps: float | None,
    check: bool,
    calibration: Path | None,
    json_file: Path | None,
    quiet: bool,
) -> None:
    """Predict what `lipar edit` computes of CLIPS with this config, and its time and memory.

    Reads and encodes the clips and decides their masks, as the edit does; the transformer does not run. Kept fractions
    are exactly those of the edit. Times come from a calibration, which `lipar bench --calibrate` makes once for a
    machine, model and size; without one, only the kept fractions are printed. Reading and writing files are not in the
    predicted time.
    """
    named = {"strength": strength, "run": None if engine is None else {"engine": engine}}
    config = choice.build(*({key: value} for key, value in named.items() if value is not None))
    if json_file is not None:
        json_file = check_writable(json_file, suffixes=(".json",))
    with importing(quiet=quiet):
        from lipar_lab.plan.run import PlanOptions, plan_clips

    plan_clips(
        clips,
        config,
        PlanOptions(
            choice=choice,
            resolution=resolution,
            device=device,
            dtype=dtype,
            target_fps=target_fps,
            check=check,
            calibration=calibration,
            json_file=json_file,
            quiet=quiet,
        ),
    )
