"""A run of the bench: sections one after another, each printed when it is done."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import torch

from lipar.cli.host import plugin_host
from lipar.cli.output import say as say_line
from lipar.page.machine import describe
from lipar.watch.slow_convolutions import warn_of_slow_convolutions
from lipar_lab.bench import SECTIONS
from lipar_lab.bench.report import to_json
from lipar_lab.bench.section import Section, section_named
from lipar_lab.bench.setup import Settings, Setup, load_model
from lipar_lab.machine import ceiling_lines, machine_lines, matmul_ceiling

__all__ = ["Bench", "Settings"]


class Bench:
    """Runs the chosen sections, prints each when it is done, and rewrites the JSON file after each.

    Args:
        settings: what to measure.
        json_path: file for all figures; None: they are only printed.
        trace: file for a Chrome trace, which the section `profile` writes; None: that section is left out.
        say: prints a line.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        json_path: Path | None = None,
        trace: Path | None = None,
        say: Callable[[str], None] = say_line,
    ) -> None:
        self.settings = settings
        self._json_path, self._trace, self._say = json_path, trace, say
        self._start = time.perf_counter()
        self.results: dict[str, Any] = {}

    def run(self) -> dict[str, Any]:
        """Load the model and run the sections that were chosen and fit the model and the device.

        A chosen section that does not fit is named in a line and has no figures.

        Returns:
            The figures by the name of the section, with `machine`, `settings` and `ceiling`, as in the JSON file.
        """
        setup = self._set_up()
        for name in SECTIONS:
            if name not in self.settings.sections:
                continue
            section = section_named(name)
            if section.fits(setup):
                self._run_section(name, section, setup)
            else:
                where = f"{setup.model.shape.name} on {setup.device.type}"
                self._say(f"{name}: left out, it is not for {where} with these options")
        return self.results

    def _set_up(self) -> Setup:
        settings = self.settings
        device, dtype = torch.device(settings.device), getattr(torch, settings.dtype)
        warn_of_slow_convolutions(device, dtype)
        host = plugin_host()
        model = load_model(
            settings.shape, settings.layers, device, dtype, settings.size, quantise=settings.quantise
        )
        self.results["machine"] = describe(device, dtype)
        self.results["settings"] = attrs.asdict(settings)
        shape = model.shape
        quantised = "" if settings.quantise == "none" else f", linear layers in {settings.quantise}"
        self._say(
            f"{shape.name}, {model.num_layers} layers, {shape.rows}x{shape.cols} tokens a frame{quantised}"
        )
        self._publish(machine_lines(self.results["machine"]))
        ceiling = matmul_ceiling(device, dtype, size=8192 if device.type == "cuda" else 1024)
        self.results["ceiling"] = ceiling
        self._publish(ceiling_lines(ceiling))
        return Setup(
            settings=settings,
            model=model,
            host=host,
            device=device,
            trace=self._trace,
            peak_flops=ceiling["median"],
        )

    def _run_section(self, name: str, section: Section, setup: Setup) -> None:
        measured = section.measure(setup)
        if isinstance(measured, dict):
            self.results[name] = measured
            self._publish(section.lines(measured))
            return
        for figures in measured:
            self.results.setdefault(name, []).append(figures)
            self._publish(section.lines(figures))

    def _publish(self, lines: list[str]) -> None:
        """Save the results so far, and print lines and the seconds since the start."""
        if self._json_path is not None:
            to_json(self.results, self._json_path)
        for line in lines:
            self._say(line)
        self._say(f"  [{time.perf_counter() - self._start:.0f} s]")
