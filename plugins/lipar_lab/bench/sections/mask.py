"""Time to decide a block's keep mask."""

import statistics
from typing import Any

import torch

from lipar.config import build_config
from lipar.masks.stream import MaskStream
from lipar.plugin.host import PluginHost
from lipar.plugin.parts import make_parts
from lipar.speedup import paired_ratio
from lipar.types import Features, KeepMask
from lipar.watch.clock import Stopwatch
from lipar_lab.bench.ratios import interleave
from lipar_lab.bench.setup import Setup

TAUS = (0.15, 0.3)
"""The paper's thresholds, in the scale of Wan 2.1 latents."""


def fits(setup: Setup) -> bool:
    """Masks do not depend on the model."""
    return True


def measure(setup: Setup) -> dict[str, Any]:
    """The figures of `measure_mask` for a block of the shape; at least 20 rounds, since a mask takes milliseconds."""
    shape = setup.model.shape
    grid = (shape.block_frames, shape.rows, shape.cols)
    return measure_mask(setup.host, grid, setup.device, repeats=max(20, setup.settings.repeats))


def drifting_features(grid: tuple[int, int, int], features: int, device: torch.device) -> Features:
    """Random token features of a block in which about a third of the places changes from frame to frame.

    Args:
        grid: frames, rows, columns of tokens.
        features: values of a token.
        device: where the result is.
    """
    generator = torch.Generator().manual_seed(0)
    frames, rows, cols = grid
    still = torch.randn(1, rows, cols, features, generator=generator)
    noise = 0.02 * torch.randn(frames, rows, cols, features, generator=generator)
    moving = torch.zeros(1, rows, cols, 1)
    moving[:, rows // 4 : rows * 3 // 4, cols // 4 : cols * 3 // 4] = 0.5
    return (still + noise + moving * torch.randn(frames, rows, cols, features, generator=generator)).to(
        device
    )


class MaskTimer:
    """Decides the masks of a scene block by block: each call decides the next block and returns its seconds.

    Args:
        host: plugins that offer criterion and refiners.
        preset: preset of the config; None: the defaults at the thresholds `TAUS`.
        grid: frames, rows, columns of tokens of a block.
        device: where the masks are computed.
    """

    def __init__(
        self, host: PluginHost, preset: str | None, grid: tuple[int, int, int], device: torch.device
    ) -> None:
        settings = [f"prune.tau_short={TAUS[0]}", f"prune.tau_long={TAUS[1]}"] if preset is None else []
        config = build_config(preset=preset, settings=settings)
        parts = make_parts(host, config)
        assert config.prune.tau_short is not None
        self._device, self._checks = device, parts.checks
        self._stream = MaskStream(
            parts.criterion,
            parts.refiners,
            tau_short=config.prune.tau_short,
            tau_long=config.prune.tau_long,
            block_frames=grid[0],
            reference=config.prune.long_reference,
            whole_first_frames=config.prune.first_frames,
        )
        self._features = drifting_features(grid, 64, device)
        self.kept_fraction = 1.0
        for _ in range(3):  # the first blocks of a scene have less to compare
            self()

    def decide(self) -> KeepMask | None:
        """Decide the next block's mask; None: it needs frames that have not come."""
        decided = self._stream.push(self._features)
        return decided[-1].keep_mask if decided else None

    def settle(self) -> None:
        """Settle the checks of the parts' answers, as the scheduler does at the end of a block."""
        self._checks.settle()

    def __call__(self) -> float:
        """Decide the next block's mask, and return the seconds."""
        watch = Stopwatch(self._device)
        keep_mask = self.decide()
        seconds = watch.seconds()
        self.settle()
        if keep_mask is not None:
            self.kept_fraction = keep_mask.float().mean().item()
        return seconds


def measure_mask(
    host: PluginHost, grid: tuple[int, int, int], device: torch.device, *, repeats: int
) -> dict[str, Any]:
    """Milliseconds per block with the default refiners and with those of the preset `released`, interleaved.

    Args:
        host: plugins that offer criterion and refiners.
        grid: frames, rows, columns of tokens of a block.
        device: where the masks are computed.
        repeats: interleaved rounds; three more before them are not counted.
    """
    timers = {
        "default": MaskTimer(host, None, grid, device),
        "released": MaskTimer(host, "released", grid, device),
    }
    times = interleave(timers, repeats, warm_up=3)
    return {
        "grid": grid,
        "milliseconds": {name: 1000 * statistics.median(taken) for name, taken in times.items()},
        "fastest_milliseconds": {name: 1000 * min(taken) for name, taken in times.items()},
        "kept": {name: timer.kept_fraction for name, timer in timers.items()},
        "ratio": {"default_to_released": paired_ratio(times["default"], times["released"])},
        "seconds": times,
    }


def lines(figures: dict[str, Any]) -> list[str]:
    """Milliseconds per block of both chains."""
    frames, rows, cols = figures["grid"]
    chains = "  ".join(
        f"{name} {taken:.2f} ms (fastest {figures['fastest_milliseconds'][name]:.2f}, kept {figures['kept'][name]:.2f})"
        for name, taken in figures["milliseconds"].items()
    )
    return [
        f"mask of a block of {frames}x{rows}x{cols} tokens, median: {chains}",
        f"  default / released: {figures['ratio']['default_to_released']}",
    ]
