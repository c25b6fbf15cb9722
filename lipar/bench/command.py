"""The command `lipar bench`."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import click
import torch

from lipar.bench import report
from lipar.bench.machine import describe, matmul_ceiling
from lipar.bench.shapes import SHAPES, BenchModel, forward_flops, shape_named
from lipar.bounds import LAYERS
from lipar.cli import output
from lipar.cli.number import CLIP_FRAMES, ROUNDS, NumberType

FRACTIONS = (1.0, 0.9, 0.8, 0.68, 0.5, 0.35, 0.2)
SECTIONS = ("overhead", "sweep", "forward", "pipeline", "mask", "memory", "syncs", "profile")


@attrs.frozen(kw_only=True)
class Settings:
    """What a run of the bench measures."""

    shape: str
    layers: int | None
    device: str
    dtype: str
    fractions: tuple[float, ...]
    windows: tuple[str, ...]
    tasks: tuple[str, ...]
    masks: str
    repeats: int
    size: tuple[int, int] | None
    frames: int | None
    lengths: tuple[int, ...]
    steps: tuple[int, ...] | None
    sections: tuple[str, ...]


class Bench:
    """Runs sections, prints each when it is done, and keeps the JSON file up to date.

    Args:
        settings: what to measure.
        json_path: None: only print.
        trace: where a Chrome trace goes; None: nowhere.
        say: prints a line.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        json_path: Path | None = None,
        trace: Path | None = None,
        say: Callable[[str], None] = output.say,
    ) -> None:
        from lipar.bench.memory import load_model
        from lipar.cli.host import plugin_host

        self.settings = settings
        self.device = torch.device(settings.device)
        self.dtype: torch.dtype = getattr(torch, settings.dtype)
        self.host = plugin_host()
        self._json_path, self._trace, self._say = json_path, trace, say
        self._start = time.perf_counter()
        self.model: BenchModel = load_model(
            settings.shape, settings.layers, self.device, self.dtype, settings.size
        )
        self.results: dict[str, Any] = {
            "machine": describe(self.device, self.dtype),
            "settings": attrs.asdict(settings),
        }
        shape = self.model.shape
        say(f"{shape.name}, {self.model.num_layers} layers, {shape.rows}x{shape.cols} tokens a frame")
        self._put("machine", self.results["machine"], report.machine_lines)

    def _put(self, key: str, section: Any, lines: Callable[[Any], list[str]]) -> None:
        self.results[key] = section
        self._tell(lines(section))

    def _append(self, key: str, section: Any, lines: Callable[[Any], list[str]]) -> None:
        self.results.setdefault(key, []).append(section)
        self._tell(lines(section))

    def _tell(self, lines: list[str]) -> None:
        if self._json_path is not None:
            report.to_json(self.results, self._json_path)
        for line in lines:
            self._say(line)
        self._say(f"  [{time.perf_counter() - self._start:.0f} s]")

    def run(self) -> dict[str, Any]:
        """All chosen sections that fit the shape and the device."""
        size = 8192 if self.device.type == "cuda" else 1024
        self._put("ceiling", matmul_ceiling(self.device, self.dtype, size=size), report.ceiling_lines)
        causal, on_cuda = self.model.shape.causal, self.device.type == "cuda"
        fits = {
            "overhead": True,
            "sweep": causal,
            "forward": not causal,
            "pipeline": True,
            "mask": True,
            "memory": causal,
            "syncs": causal and on_cuda,
            "profile": causal and self._trace is not None,
        }
        for section in SECTIONS:
            if section in self.settings.sections and fits[section]:
                getattr(self, section)()
        return self.results

    def overhead(self) -> None:
        from lipar.bench.overhead import measure_overhead

        repeats, frames = self.settings.repeats, self.settings.frames
        measured = measure_overhead(self.model, self.host, repeats=repeats, frames=frames)
        self._put("overhead", measured, report.overhead_lines)

    def sweep(self) -> None:
        from lipar.bench.sweep import measure_sweep

        settings = self.settings
        for task in settings.tasks:
            for window in settings.windows:
                measured = measure_sweep(
                    self.model,
                    list(settings.fractions),
                    window=window,  # type: ignore[arg-type]  # click admits no others
                    task=task,  # type: ignore[arg-type]
                    repeats=settings.repeats,
                    spread=settings.masks,  # type: ignore[arg-type]
                    steps=settings.steps,
                    ceiling=self.results["ceiling"]["median"],
                )
                self._append("sweep", measured, report.sweep_lines)

    def forward(self) -> None:
        from lipar.bench.overhead import measure_forward
        from lipar.bench.ratios import paired_ratio
        from lipar.bench.sweep import sweep_row

        settings, shape = self.settings, self.model.shape
        fractions = sorted({1.0, *settings.fractions}, reverse=True)
        measured = measure_forward(
            self.model, self.host, fractions, repeats=settings.repeats, frames=settings.frames
        )
        tokens = measured["grid"][0] * shape.tokens_per_frame
        dense = measured["seconds"]["1"]
        measured["ratio_to_stock"] = paired_ratio(dense, measured["seconds"]["stock"])
        measured["median_stock_seconds"] = statistics.median(measured["seconds"]["stock"])
        measured["rows"] = [
            sweep_row(
                measured["seconds"][name],
                dense,
                kept=kept,
                tokens=tokens,
                flops=forward_flops(shape, kept, tokens, layers=self.model.num_layers),
                ceiling=self.results["ceiling"]["median"],
            )
            for name, kept in measured["kept_tokens"].items()
        ]
        self._put("forward", measured, report.forward_lines)

    def pipeline(self) -> None:
        from lipar.bench.pipeline import measure_pipeline

        settings = self.settings
        measured = measure_pipeline(
            self.model,
            self.host,
            sorted(settings.fractions, reverse=True),
            repeats=settings.repeats,
            frames=settings.frames,
        )
        self._put("pipeline", measured, report.pipeline_lines)

    def mask(self) -> None:
        from lipar.bench.mask_cost import measure_mask

        shape = self.model.shape
        grid = (shape.block_frames, shape.rows, shape.cols)
        measured = measure_mask(self.host, grid, self.device, repeats=max(20, self.settings.repeats))
        self._put("mask", measured, report.mask_lines)

    def memory(self) -> None:
        from lipar.bench.memory import MemoryCase, measure_memory

        settings = self.settings
        case = MemoryCase(
            shape=settings.shape,
            layers=settings.layers,
            device=settings.device,
            dtype=settings.dtype,
            size=settings.size,
            window="full",
            kept=1.0,
            frames=0,
        )
        own = self.model if self.device.type == "cuda" else None
        self._put("memory", measure_memory(case, list(settings.lengths), model=own), report.memory_lines)

    def syncs(self) -> None:
        from lipar.bench.gpu import count_syncs

        self._put("syncs", count_syncs(self.model, 0.5), report.sync_lines)

    def profile(self) -> None:
        from lipar.bench.gpu import profile_block

        assert self._trace is not None
        for kept in (1.0, 0.35):
            trace = self._trace if kept < 1 else None
            self._append("profile", profile_block(self.model, kept, trace), report.profile_lines)


class Numbers(click.ParamType):  # type: ignore[type-arg]  # generic in the newest click only
    """Numbers separated by commas."""

    name = "a,b,..."

    def __init__(self, kind: type[int] | type[float], low: float | int, high: float | int) -> None:
        self._kind, self._low, self._high = kind, low, high

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[float | int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(self._kind(one) for one in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is no list of {self._kind.__name__} values separated by commas", param, ctx)
        outside = [one for one in numbers if not self._low <= one <= self._high]
        if outside:
            self.fail(f"{outside[0]} is not in {self._low:g}..{self._high:g}", param, ctx)
        return numbers


def parse_size(text: str) -> tuple[int, int]:
    """Read `30x52`, rows and columns of tokens.

    Raises:
        ValueError: it is not two positive numbers with an x between.
    """
    rows, cross, cols = text.partition("x")
    if not cross or not (rows.isdigit() and cols.isdigit()) or 0 in (int(rows), int(cols)):
        raise ValueError(f"--size is rows x columns of tokens in a frame, for instance 30x52; got {text!r}")
    return int(rows), int(cols)


def _chosen(value: str, both: tuple[str, ...]) -> tuple[str, ...]:
    return both if value == "both" else (value,)


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
    "--kept", type=Numbers(float, 0.01, 1.0), default=FRACTIONS, help="Kept fractions; 1.0 is added."
)
@click.option(
    "--window", type=click.Choice(["full", "trimmed", "both"]), help="Default: both on cuda, else trimmed."
)
@click.option(
    "--task", type=click.Choice(["video-to-video", "text-to-video", "both"]), default="video-to-video"
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
    "--lengths", type=Numbers(int, 3, 10000), default=(15, 30), help="Latent frames of the memory runs."
)
@click.option(
    "--steps", type=Numbers(int, 1, 1000), help="Denoise steps (indices of 1000), instead of the task's."
)
@click.option(
    "--section", "sections", multiple=True, type=click.Choice(SECTIONS), help="Only these; repeatable."
)
@click.option(
    "--json", "json_path", type=click.Path(dir_okay=False, path_type=Path), help="Write results here."
)
@click.option(
    "--profile", "trace", type=click.Path(dir_okay=False, path_type=Path), help="Write a Chrome trace."
)
@click.option(
    "--quick", is_flag=True, help="One round of a few fractions and one denoise step: a smoke test."
)
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
def bench(
    shape: str,
    layers: int | None,
    device: str,
    dtype: str | None,
    kept: tuple[float, ...],
    window: str | None,
    task: str,
    masks: str,
    repeats: int,
    size: str | None,
    frames: int | None,
    lengths: tuple[int, ...],
    steps: tuple[int, ...] | None,
    sections: tuple[str, ...],
    json_path: Path | None,
    trace: Path | None,
    quick: bool,
    debug: bool,
) -> None:
    """Measure what pruning costs and saves at the shapes of real models, with random weights.

    Prints ratios of interleaved runs with their spread: keep-all against the library's own forward, block time
    against kept fraction, mask time, memory. Needs no weights and no video library.
    """
    try:
        on_cuda = device == "cuda"
        if on_cuda and not torch.cuda.is_available():
            raise ValueError("--device cuda needs a CUDA device and a PyTorch built for it; there is none")
        if quick:
            kept, repeats, lengths, steps = (1.0, 0.5), 1, (6, 9), steps or (400,)
        settings = Settings(
            shape=shape_named(shape).name,
            layers=layers if layers is not None or on_cuda else 1,
            device=device,
            dtype=dtype or ("bfloat16" if on_cuda else "float32"),
            fractions=kept,
            windows=_chosen(window or ("both" if on_cuda else "trimmed"), ("full", "trimmed")),
            tasks=_chosen(task, ("video-to-video", "text-to-video")),
            masks=masks,
            repeats=repeats,
            size=None if size is None else parse_size(size),
            frames=frames,
            lengths=lengths,
            steps=steps,
            sections=sections or SECTIONS,
        )
        Bench(settings, json_path=json_path, trace=trace).run()
    except (LookupError, ValueError, OSError) as error:
        if debug:
            raise
        raise click.ClickException(str(error.args[0]) if error.args else str(error)) from error
