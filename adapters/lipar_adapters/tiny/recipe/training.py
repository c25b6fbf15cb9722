"""What all trainers share: the budget, the learning rate, the running average of weights, the log."""

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from lipar_adapters.tiny.recipe.checkpoint import load_checkpoint, named, save_checkpoint


@dataclass
class Budget:
    """Length of the training, in minutes or in steps (then the same seed gives the same weights)."""

    minutes: float | None = None
    steps: int | None = None
    spent: float = 0.0
    started: float = field(default_factory=time.monotonic)

    @property
    def seconds(self) -> float:
        """Training time so far, that of earlier runs included."""
        return self.spent + time.monotonic() - self.started

    def progress(self, step: int) -> float:
        """Part of the budget that is spent, 0..1 and a little above; of two bounds the nearer one."""
        parts = [0.0]
        if self.steps is not None:
            parts.append(step / self.steps)
        if self.minutes is not None:
            parts.append(self.seconds / (60 * self.minutes))
        return max(parts)


def learning_rate(progress: float, step: int, peak: float, warmup: int = 150) -> float:
    """Linear warm-up, then a cosine down to 1 % of the peak."""
    cosine = 0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
    return peak * min(1.0, (step + 1) / warmup) * cosine


def seeded(device: torch.device | str, *numbers: int) -> torch.Generator:
    """A generator that depends on the numbers alone: no random state needs saving."""
    mixed = 0
    for number in numbers:
        mixed = (mixed * 1_000_003 + number + 0x9E37) % (2**63 - 1)
    return torch.Generator(device).manual_seed(mixed)


@dataclass
class Loop:
    """Steps of one trainer until its budget is spent, with a checkpoint every `save_seconds` and at the end.

    Args:
        stop_seconds, stop_steps: leave after so much of this run, though the budget lasts longer.
    """

    name: str
    out: Path
    modules: dict[str, nn.Module]
    budget: Budget
    peak_rate: float
    save_seconds: float = 120.0
    stop_seconds: float = math.inf
    stop_steps: int | None = None
    decay: float = 0.996
    state: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.parameters = named(self.modules)
        values = list(self.parameters.values())
        fused = values[0].device.type == "cuda"
        self.optimizer = torch.optim.AdamW(
            values, lr=self.peak_rate, betas=(0.9, 0.98), weight_decay=0.01, fused=fused
        )
        self.average: dict[str, Tensor] = {name: p.detach().clone() for name, p in self.parameters.items()}
        self.step = 0

    @property
    def folder(self) -> Path:
        """Folder of the checkpoint."""
        return self.out / f"{self.name}-checkpoint"

    def resume(self) -> bool:
        """Restore the checkpoint in `out`; False where there is none."""
        if not (self.folder / "state.json").exists():
            return False
        self.state = load_checkpoint(self.folder, self.modules, self.average, self.optimizer)
        self.step, self.budget.spent = self.state["step"], self.state["seconds"]
        return True

    def save(self) -> None:
        """Write a checkpoint; it replaces the one before."""
        self.state.update(step=self.step, seconds=self.budget.seconds)
        save_checkpoint(self.folder, self.modules, self.average, self.optimizer, self.state)

    def update(self, loss: Tensor) -> Tensor:
        """One optimiser step on a loss; returns the gradient's norm."""
        rate = learning_rate(self.budget.progress(self.step), self.step, self.peak_rate)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        values = list(self.parameters.values())
        norm = nn.utils.clip_grad_norm_(values, 1.0)
        self.optimizer.step()
        decay = min(self.decay, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.values()), [p.data for p in values], 1 - decay)
        return norm

    def run(self, one_step: Callable[[int, float], dict[str, Tensor]], log_every: int = 50) -> None:
        """Call `one_step(step, progress)`, which updates and returns what to log, until time or steps are spent."""
        self.out.mkdir(parents=True, exist_ok=True)
        started = saved = time.monotonic()
        first = self.step
        with (self.out / f"{self.name}-log.jsonl").open("a") as log:
            while (
                progress := self.budget.progress(self.step)
            ) < 1 and time.monotonic() - started < self.stop_seconds:
                if self.stop_steps is not None and self.step - first >= self.stop_steps:
                    break
                values = one_step(self.step, progress)
                self.step += 1
                if self.step % log_every == 0 or self.step == first + 1:
                    entry = {key: round(float(value), 5) for key, value in values.items()}
                    pace = (self.step - first) / (time.monotonic() - started)
                    line = {
                        "step": self.step,
                        "progress": round(progress, 4),
                        "seconds": round(self.budget.seconds, 1),
                        **entry,
                    }
                    log.write(json.dumps(line) + "\n")
                    log.flush()
                    left = self.budget.seconds * (1 - progress) / max(progress, 1e-6)
                    click.echo(f"{self.name} {line} {pace:.2f} steps/s, {left / 60:.1f} min left")
                if time.monotonic() - saved > self.save_seconds:
                    self.save()
                    saved = time.monotonic()
        self.save()

    def load_average(self) -> None:
        """Put the running average into the modules: what is exported."""
        with torch.no_grad():
            for name, p in self.parameters.items():
                p.copy_(self.average[name])
