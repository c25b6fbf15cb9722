"""A run of the bench: sections one after another, each printed when it is done."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch

from lipar.cli import output
from lipar_adapters.wan.shapes import forward_flops
from lipar_lab.bench import SECTIONS, report
from lipar_lab.bench.machine import describe, matmul_ceiling
from lipar_lab.bench.model import BenchModel


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
        from lipar.cli.host import plugin_host
        from lipar_lab.bench.memory import load_model

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
        from lipar_lab.bench.overhead import measure_overhead

        repeats, frames = self.settings.repeats, self.settings.frames
        measured = measure_overhead(self.model, self.host, repeats=repeats, frames=frames)
        self._put("overhead", measured, report.overhead_lines)

    def sweep(self) -> None:
        from lipar_lab.bench.sweep import measure_sweep

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
        from lipar.speedup import paired_ratio
        from lipar_lab.bench.overhead import measure_forward
        from lipar_lab.bench.sweep import sweep_row

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
        from lipar_lab.bench.pipeline import measure_pipeline

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
        from lipar_lab.bench.mask_cost import measure_mask

        shape = self.model.shape
        grid = (shape.block_frames, shape.rows, shape.cols)
        measured = measure_mask(self.host, grid, self.device, repeats=max(20, self.settings.repeats))
        self._put("mask", measured, report.mask_lines)

    def memory(self) -> None:
        from lipar_lab.bench.memory import MemoryCase, measure_memory

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
        from lipar_lab.bench.gpu import count_syncs

        self._put("syncs", count_syncs(self.model, 0.5), report.sync_lines)

    def profile(self) -> None:
        from lipar_lab.bench.gpu import profile_block

        assert self._trace is not None
        for kept in (1.0, 0.35):
            trace = self._trace if kept < 1 else None
            self._append("profile", profile_block(self.model, kept, trace), report.profile_lines)
