"""What pruning adds to a block, in milliseconds: mask, layout, gathers, donors, restoring; each timed alone."""

import statistics
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lipar.attention.block import BlockContext
from lipar.config import EngineName, PartConfig
from lipar.engines.engine import GraphEngine
from lipar.layout import TokenLayout
from lipar.messages import counted
from lipar.plugin.parts import make_part
from lipar.protocols import ForwardPass, NoiseSource, Recovery
from lipar.types import KeepMask
from lipar.watch.clock import Stopwatch
from lipar_lab.bench.kernel_time import kernel_seconds
from lipar_lab.bench.model import BenchModel
from lipar_lab.bench.random_masks import Spread, random_mask
from lipar_lab.bench.ratios import interleave
from lipar_lab.bench.sections.mask import MaskTimer, drifting_features
from lipar_lab.bench.setup import Setup
from lipar_lab.bench.stream import BlockStream, bench_config, no_attention

AIM = 3.0
"""Milliseconds a block that pruning may add on one H100."""
FRACTIONS = (1.0, 0.68, 0.5, 0.35, 0.2)
DONORS = ("kv-cache", "step-shift")
"""Noise sources that are measured: the cheapest one, and the default of `lipar edit`."""
Run = Callable[[], object]


def fits(setup: Setup) -> bool:
    """Causal models only: the others have no blocks."""
    return setup.model.shape.causal


def measure(setup: Setup) -> Iterator[dict[str, Any]]:
    """The figures of `measure_budget` for each noise source of `DONORS`; on a GPU, of at least 20 rounds."""
    settings = setup.settings
    fractions = [kept for kept in FRACTIONS if kept in settings.fractions] or list(settings.fractions)
    for noise in DONORS:
        yield measure_budget(
            setup.model,
            fractions,
            noise=noise,
            repeats=max(20 if setup.on_cuda else 5, settings.repeats),
            spread=settings.masks,  # type: ignore[arg-type]  # click accepts no others
            steps=settings.steps,
            engine=settings.engine,
        )


def measure_budget(
    model: BenchModel,
    fractions: list[float],
    *,
    noise: str,
    repeats: int,
    spread: Spread = "clustered",
    steps: tuple[int, ...] | None = None,
    engine: EngineName = "eager",
) -> dict[str, Any]:
    """Time the parts of a video-to-video block, window 1+6, in steady state.

    Args:
        model: a causal model; it is not run.
        fractions: kept fractions.
        noise: the noise source, by name.
        repeats: interleaved rounds that are timed; three more before them are not counted.
        spread: how random masks are distributed, see `random_mask`.
        steps: denoise steps as indices of 1000, instead of the task's.
        engine: how passes are run; with graphs, donors are timed in the replay of one.
    """
    block = PrunedBlock(model, noise, steps=steps, engine=engine)
    rows = []
    for kept in fractions:
        runs = block.runs(random_mask(block.grid, kept, spread=spread).to(model.device))
        times = interleave({name: block.timed(run) for name, run in runs.items()}, repeats, warm_up=3)
        elapsed = {name: 1000 * statistics.median(taken) for name, taken in times.items()}
        on_device = {name: kernel_seconds(run, model.device) for name, run in runs.items()}
        block.settle()
        rows.append(
            {
                "kept": kept,
                "milliseconds": _parts(elapsed),
                "device_milliseconds": None
                if None in on_device.values()
                else _parts({name: 1000 * taken for name, taken in on_device.items() if taken is not None}),
            }
        )
    return {
        "grid": block.grid,
        "engine": engine,
        "noise": noise,
        "layers": model.num_layers,
        "denoise_steps": len(block.sigmas),
        "aim": AIM,
        "masks": spread,
        "rows": rows,
    }


def _parts(of_runs: dict[str, float]) -> dict[str, float]:
    """Milliseconds of each part, from those of the runs, their sum, and the rest of the mask, which is not in it."""
    parts = {
        "criterion": of_runs["criterion"],
        "layout": of_runs["layout"],
        "gathers": of_runs["gathers"],
        # without a pruned token there is no run without its donors
        "donors": of_runs["filled"] - of_runs["absent"] if "filled" in of_runs else 0.0,
        "restore": of_runs["restore"],
    }
    upkeep = of_runs["mask"] - of_runs["criterion"]
    return parts | {"sum": sum(parts.values()), "mask upkeep": upkeep}


class PrunedBlock:
    """The parts of a block that only exist because of pruning, each as a function that runs it once.

    Args:
        model: a causal model.
        noise: the noise source, by name.
        steps: denoise steps as indices of 1000, instead of the task's.
        engine: how passes are run.
    """

    def __init__(
        self,
        model: BenchModel,
        noise: str,
        *,
        steps: tuple[int, ...] | None = None,
        engine: EngineName = "eager",
    ) -> None:
        config = bench_config(
            model.shape, "trimmed", "video-to-video", steps=steps, noise=noise, engine=engine
        )
        stream = BlockStream(model, config)
        stream.fill_window()
        self.model, self.grid = model, stream.grid
        self.sigmas = stream.scheduler.sigmas
        self._host, self._job = stream.scheduler.host, stream.scheduler.job
        self._without_fills: Recovery = make_part(self._host, "recovery", PartConfig("none"))
        self._passes = [ForwardPass.at(step, sigma) for step, sigma in enumerate(self.sigmas)]
        self._passes.append(ForwardPass.at(-1, 0.0))
        self._mask = MaskTimer(self._host, None, self.grid, model.device)
        self._features = drifting_features(self.grid, 64, model.device)

    def timed(self, run: Run) -> Callable[[], float]:
        """A function that runs once and returns its seconds, from an idle device until the work is done."""

        def seconds() -> float:
            watch = Stopwatch(self.model.device)
            run()
            return watch.seconds()

        return seconds

    def settle(self) -> None:
        """Settle the checks of the parts' answers, as the scheduler does at the end of a block."""
        self._job.parts.checks.settle()
        self._mask.settle()

    def runs(self, keep_mask: KeepMask) -> dict[str, Run]:
        """The runs by name; `filled` and `absent` are self-attention without its kernel, with donors and without.

        Args:
            keep_mask: the kept tokens of the block.
        """
        layout = TokenLayout(keep_mask)
        runs: dict[str, Run] = {
            "criterion": self._criterion,
            "mask": self._mask.decide,
            "layout": lambda: self._layout(keep_mask),
            "gathers": self._gathers(layout),
            "restore": self._restore(layout),
        }
        if layout.kept_count < layout.token_count:
            parts = self._job.parts
            runs["filled"] = self._attention(layout, parts.recovery, parts.noise)
            runs["absent"] = self._attention(layout, self._without_fills, None)
        return runs

    def _criterion(self) -> None:
        """The distances of a block to the frames before, and to the long-term reference."""
        criterion = self._job.parts.criterion
        criterion(self._features, self._features.roll(1, 0))
        criterion(self._features, self._features[:1].expand_as(self._features))

    def _layout(self, keep_mask: KeepMask) -> None:
        """The kept tokens, the sources of the others, and the rows and rotations of both kinds of pass."""
        layout = TokenLayout(keep_mask)
        job = self._job
        BlockContext(job.cache, layout, job.parts.recovery, job.parts.noise, fused=job.engine.fused)

    def _gathers(self, layout: TokenLayout) -> Run:
        """The kept tokens of the embedded block, and the output back at its places, in every pass."""
        shape = self.model.shape
        embedded = self._random(1, shape.width, *self.grid)
        output = self._random(1, layout.kept_count, shape.latent_channels * shape.patch**2)

        def run() -> None:
            for _ in self._passes:
                layout.prune(embedded.flatten(2).transpose(1, 2).contiguous())
                layout.scatter(output)

        return run

    def _random(self, *size: int) -> Tensor:
        return torch.randn(size, device=self.model.device, dtype=self.model.dtype)

    def _restore(self, layout: TokenLayout) -> Run:
        shape = self.model.shape
        frames, rows, cols = self.grid
        denoised = self._random(1, frames, shape.latent_channels, rows * shape.patch, cols * shape.patch)
        return lambda: self._host.hook.lipar_restore(job=self._job, denoised=denoised, layout=layout)

    def _attention(self, layout: TokenLayout, recovery: Recovery, noise: NoiseSource | None) -> Run:
        """Self-attention of all layers and passes without its kernel: rotations, cache rows, donors."""
        shape = self.model.shape
        q, k, v = (self._random(1, layout.kept_count, shape.heads, shape.head_dim) for _ in range(3))
        engine = self._job.engine
        context = BlockContext(self._job.cache, layout, recovery, noise, fused=engine.fused)

        def run() -> Tensor:
            for forward_pass in self._passes:
                context.begin_pass(forward_pass)
                for layer_idx in range(self.model.num_layers):
                    attended = context.attend(layer_idx, q, k, v, no_attention)
            return attended

        if not isinstance(engine, GraphEngine):
            return run
        for _ in range(2):  # kernels are loaded, and the noise source has stored what it compares with
            run()
        return engine.replay.recorder.record(run).replay


def lines(figures: dict[str, Any]) -> list[str]:
    """A table of kept fractions; on a GPU also the time of the kernels alone."""
    frames, rows, cols = figures["grid"]
    names = list(figures["rows"][0]["milliseconds"])
    found = [
        f"engine {figures['engine']}",
        f"budget of a block of {frames}x{rows}x{cols} tokens, {counted(figures['layers'], 'layer')}, "
        f"{counted(figures['denoise_steps'], 'denoise step')} and the clean pass, donors {figures['noise']}, "
        f"{figures['masks']} masks; ms, at most {figures['aim']:g} on one H100",
        "  kept            " + "  ".join(f"{name:>11}" for name in names),
    ]
    for row in figures["rows"]:
        for kind, title in (("milliseconds", "elapsed"), ("device_milliseconds", "kernels")):
            if row[kind] is not None:
                taken = "  ".join(f"{row[kind][name]:11.3f}" for name in names)
                found.append(f"  {row['kept']:.3f}  {title:>8}  {taken}")
    return found
