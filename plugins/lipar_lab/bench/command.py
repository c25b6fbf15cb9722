"""`lipar bench`: what pruning costs and saves, with random weights."""

from pathlib import Path

import attrs
import click
from click.core import ParameterSource

from lipar.bounds import LAYERS
from lipar.cli.loading import importing
from lipar.cli.number import CLIP_FRAMES, ROUNDS, NumbersType, NumberType
from lipar.cli.options import CLIP, ConfigChoice, SizeType, config_options, debug_option, json_option
from lipar.config import ENGINES, EngineName
from lipar_adapters.wan.shapes import SHAPES, shape_named
from lipar_lab.bench import LONG_ON_CPU, SECTIONS
from lipar_lab.plan.command import calibration_option

FRACTIONS = (1.0, 0.9, 0.8, 0.68, 0.5, 0.35, 0.2)


def parse_size(text: str) -> tuple[int, int]:
    """Read `30x52`, rows and columns of the token grid.

    Args:
        text: the option's value.

    Raises:
        ValueError: it is not two positive numbers with an x between.
    """
    rows, cross, cols = text.partition("x")
    if not cross or not (rows.isdigit() and cols.isdigit()) or 0 in (int(rows), int(cols)):
        raise ValueError(f"--size is rows x columns of tokens in a frame, for instance 30x52; got {text!r}")
    return int(rows), int(cols)


def _chosen(value: str, both: tuple[str, ...]) -> tuple[str, ...]:
    return both if value == "both" else (value,)


def _default_sections(on_cuda: bool) -> tuple[str, ...]:
    return SECTIONS if on_cuda else tuple(name for name in SECTIONS if name not in LONG_ON_CPU)


_CALIBRATES = {"model", "config_file", "preset", "settings", "resolution", "calibration"}
"""Parameters that have a meaning only with `--calibrate`."""
_BOTH = {"calibrate", "device", "dtype", "engine", "repeats", "debug"}
"""Parameters that have a meaning with and without it."""


def _typed(context: click.Context) -> set[str]:
    return {
        name
        for name in context.params
        if context.get_parameter_source(name) not in (ParameterSource.DEFAULT, ParameterSource.DEFAULT_MAP)
    }


def _refuse_mixed(typed: set[str], calibrate: bool) -> None:
    wrong = typed - _BOTH - _CALIBRATES if calibrate else typed & _CALIBRATES
    if wrong:
        names = ", ".join(sorted(_OPTIONS.get(name, f"--{name.replace('_', '-')}") for name in wrong))
        raise click.UsageError(
            f"{names}: not with --calibrate" if calibrate else f"{names}: only with --calibrate"
        )


_OPTIONS = {
    "config_file": "--config",
    "settings": "--set",
    "sections": "--section",
    "inputs": "--input",
    "json_file": "--json",
    "trace": "--profile",
}
"""Options whose parameter has another name."""


@click.command("bench")
@click.option(
    "--shape", default="wan2.1-1.3b", show_default=True, help=f"One of {', '.join(sorted(SHAPES))}."
)
@click.option("--layers", type=NumberType(LAYERS), help="Layers to build; default: all on cuda, 1 on cpu.")
@click.option("--device", type=click.Choice(["cpu", "cuda"]), default="cpu", show_default=True)
@click.option(
    "--dtype", type=click.Choice(["float32", "bfloat16"]), help="Default: bfloat16 on cuda, float32 on cpu."
)
@click.option(
    "--quantise",
    type=click.Choice(["none", "fp8", "int8"]),
    default="none",
    show_default=True,
    help="Number type of the linear layers.",
)
@click.option(
    "--engine",
    type=click.Choice(ENGINES),
    default="eager",
    show_default=True,
    help="How passes are run, in sweep, end-to-end and quantised; engines compares them.",
)
@click.option("--kept", type=NumbersType(0.01, 1), default=FRACTIONS, help="Kept fractions; 1.0 is added.")
@click.option(
    "--window", type=click.Choice(["full", "trimmed", "both"]), help="Default: both on cuda, else trimmed."
)
@click.option(
    "--task",
    type=click.Choice(["video-to-video", "text-to-video", "both"]),
    help="Default: video-to-video, of the section end-to-end both.",
)
@click.option("--masks", type=click.Choice(["clustered", "uniform"]), default="clustered", show_default=True)
@click.option("--repeats", type=NumberType(ROUNDS), default=5, show_default=True, help="Interleaved rounds.")
@click.option("--size", help="Rows x columns of tokens in a frame, instead of the shape's.")
@click.option(
    "--frames",
    type=NumberType(attrs.evolve(CLIP_FRAMES, low=2)),
    help="Latent frames of a cache-free forward.",
)
@click.option(
    "--lengths", type=NumbersType(3, 10000, int), default=(15, 30), help="Latent frames of the memory runs."
)
@click.option(
    "--steps", type=NumbersType(1, 1000, int), help="Denoise steps (indices of 1000), instead of the task's."
)
@click.option(
    "--section", "sections", multiple=True, type=click.Choice(SECTIONS), help="Only these; repeatable."
)
@click.option(
    "--input", "inputs", multiple=True, type=CLIP, metavar="FILE", help="A video for `files`; repeatable."
)
@json_option("Also write the figures here.")
@click.option(
    "--profile", "trace", type=click.Path(dir_okay=False, path_type=Path), help="Write a Chrome trace."
)
@click.option(
    "--quick", is_flag=True, help="One round of a few fractions and one denoise step: a smoke test."
)
@click.option(
    "--calibrate",
    is_flag=True,
    help="Instead of all this: measure what `lipar plan` needs, of a model with its weights, and store it.",
)
@config_options()
@click.option("--resolution", type=SizeType(), help="With --calibrate: size to process at.")
@calibration_option
@debug_option
@click.pass_context
def bench(
    context: click.Context,
    shape: str,
    layers: int | None,
    device: str,
    dtype: str | None,
    quantise: str,
    engine: EngineName,
    kept: tuple[float, ...],
    window: str | None,
    task: str | None,
    masks: str,
    repeats: int,
    size: str | None,
    frames: int | None,
    lengths: tuple[int, ...],
    steps: tuple[int, ...] | None,
    sections: tuple[str, ...],
    inputs: tuple[Path, ...],
    json_file: Path | None,
    trace: Path | None,
    quick: bool,
    calibrate: bool,
    choice: ConfigChoice,
    resolution: tuple[int, int] | None,
    calibration: Path | None,
) -> None:
    """Measure what pruning costs and saves at the shapes of real models, with random weights.

    Prints ratios of interleaved runs with their spread: keep-all against the library's own forward, block time
    against kept fraction, mask time, memory. Needs no weights and no video library. Only with `--section files` or
    `--input`: the times of `lipar edit` from file to file, pruned and dense.

    With --calibrate: times and memory of a model with its weights on this machine, by kept tokens and length of
    context, at one size and with one config. Device, type and engine are by default those of `lipar edit`.
    """
    typed = _typed(context)
    _refuse_mixed(typed, calibrate)
    if calibrate:
        config = choice.build(*([{"run": {"engine": engine}}] if "engine" in typed else []))
        with importing():
            from lipar_lab.plan.calibrate_command import run_calibration

        run_calibration(
            config,
            resolution=resolution,
            device=device if "device" in typed else None,
            dtype=dtype,
            repeats=repeats if "repeats" in typed else None,
            calibration=calibration,
        )
        return
    with importing():
        import torch

        from lipar_lab.bench.run import Bench, Settings

    on_cuda = device == "cuda"
    if on_cuda and not torch.cuda.is_available():
        raise ValueError("--device cuda needs a CUDA device and a PyTorch built for it; neither was found")
    if quick:
        kept, repeats, lengths, steps = (1.0, 0.5), 1, (6, 9), steps or (400,)
    settings = Settings(
        shape=shape_named(shape).name,
        layers=layers if layers is not None or on_cuda else 1,
        device=device,
        dtype=dtype or ("bfloat16" if on_cuda else "float32"),
        fractions=kept,
        windows=_chosen(window or ("both" if on_cuda else "trimmed"), ("full", "trimmed")),
        tasks=None if task is None else _chosen(task, ("video-to-video", "text-to-video")),
        masks=masks,
        repeats=repeats,
        size=None if size is None else parse_size(size),
        frames=frames,
        lengths=lengths,
        steps=steps,
        inputs=tuple(map(str, inputs)),
        sections=sections or _default_sections(on_cuda),
        quantise=quantise,
        engine=engine,
    )
    Bench(settings, json_path=json_file, trace=trace).run()
