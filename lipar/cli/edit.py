"""`lipar edit`: the main job on one video."""

import time
import warnings
from pathlib import Path
from typing import Any

import click
import torch
from tqdm import tqdm

from lipar.compatibility import check_config
from lipar.config import Config, build_config, presets
from lipar.edit import EditOptions, EditReport, Progress, edit_video
from lipar.plugins import load_plugins

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


class SizeType(click.ParamType[tuple[int, int]]):
    """`WIDTHxHEIGHT`."""

    name = "WxH"

    def convert(
        self, value: str | tuple[int, int], param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        width, x, height = value.lower().partition("x")
        if not x or not width.isdigit() or not height.isdigit() or not int(width) or not int(height):
            self.fail(f"{value!r} is no size; write WIDTHxHEIGHT, for instance 256x256", param, ctx)
        return int(width), int(height)


@click.command()
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
@click.option("--dtype", type=click.Choice(sorted(_DTYPES)), help="[default: bfloat16 on cuda, else float32]")
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
    quiet: bool,
    debug: bool,
) -> None:
    """Edit a video by a prompt, computing only the tokens that changed.

    IN.mp4 is any video; without it, lipar makes a clip of its own. The result has the source's size, frames,
    timestamps and sound. Nothing is written to -o until all of it is there.
    """
    if not prompt.strip():
        raise click.UsageError("--prompt is empty; say in a few words what the result should look like")
    # the model first, since a part named anew drops the options that were set before it
    chosen = [] if model is None else [f"adapter={model!r}"]
    named = {"strength": strength, "seed": seed}
    direct = [f"{key}={value!r}" for key, value in named.items() if value is not None]
    config = build_config(preset=preset, file=config_file, settings=[*chosen, *settings, *direct])
    host = load_plugins()
    adapter = check_config(host, config)  # what cannot be is said before anything is loaded
    options = EditOptions(
        prompt=prompt,
        output=output,
        source=source,
        overlay=overlay,
        dense=dense,
        resolution=resolution,
        keep_source_size=size == "source",
    )
    _check_paths(options)
    torch_device = pick_device(device)
    torch_dtype = (
        _DTYPES[dtype] if dtype else torch.bfloat16 if torch_device.type == "cuda" else torch.float32
    )
    start = time.perf_counter()
    loaded = adapter.load(torch_device, torch_dtype)
    loading = time.perf_counter() - start
    with ProgressLine(quiet) as line:
        report = edit_video(loaded, config, options, host=host, begun=line.begin)
    click.echo(summarise(report, options, config, loading))


def _check_paths(options: EditOptions) -> None:
    from lipar.video import check_writable, probe

    for path in (options.output, options.overlay):
        if path is not None:
            check_writable(path, source=options.source)
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


class ProgressLine:
    """A bar of pixel frames with the time left."""

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._bar: tqdm[Any] | None = None

    def begin(self, frames: int | None) -> Progress:
        """Show the bar; gives the function that moves it."""
        self._bar = bar = tqdm(total=frames, unit="frame", desc="edit", disable=self._quiet or None)

        def advance(count: int) -> None:
            bar.update(count)

        return advance

    def __enter__(self) -> "ProgressLine":
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()


def summarise(report: EditReport, options: EditOptions, config: Config, loading: float) -> str:
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
    return "\n".join(lines)


def _kept_line(report: EditReport, options: EditOptions) -> str:
    if options.dense:
        return "computed every token (--dense)"
    line = f"kept {100 * report.kept_fraction:.1f} % of the tokens, skipped {100 * (1 - report.kept_fraction):.1f} %"
    if report.steady_kept_fraction is not None:
        line += (
            f" ({100 * report.steady_kept_fraction:.1f} % kept after the first block, which is always whole)"
        )
    return line


def _in_order(seconds: dict[str, float]) -> list[tuple[str, float]]:
    order = ["decode", "encode", "mask", "DiT", "clean pass", "restore", "decode to pixels", "write"]
    return [(stage, seconds[stage]) for stage in order if stage in seconds]
