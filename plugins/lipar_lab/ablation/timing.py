"""Time of the passes, rows interleaved in one process."""

import typing
from collections.abc import Collection, Iterator
from typing import Any

import attrs
import torch

from lipar.hookspecs import hookimpl
from lipar.watch.clock import Stopwatch
from lipar_lab.ablation.plan import Cell, LoadedModel, Plan
from lipar_lab.ablation.prepared_clip import PreparedClip


@attrs.define(eq=False)
class PassClock:
    """A plugin that sums the seconds of passes after the first block, denoise passes and clean passes apart."""

    device: torch.device
    denoise: float = 0.0
    clean: float = 0.0

    # no type check: pluggy requires a generator function, whatever its annotation says
    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_forward(self, forward_pass, layout):
        """The model's flow, unchanged."""
        watch = Stopwatch(self.device)
        answer = yield
        if layout.has_history:
            if forward_pass.clean:
                self.clean += watch.seconds()
            else:
                self.denoise += watch.seconds()
        return answer


Round = tuple[int, float, int]
"""Clip, kept fraction, number of the round."""


def rounds_of(plan: Plan) -> list[Round]:
    """Every round of a plan."""
    clips = range(min(plan.timing.clips, len(plan.clips)))
    return [
        (clip, kept, number) for clip in clips for kept in plan.kept for number in range(plan.timing.rounds)
    ]


def timed_rounds(
    plan: Plan, loaded: LoadedModel, wanted: Collection[Round]
) -> Iterator[list[dict[str, Any]]]:
    """Seconds of each row at the middle strength, the rows in turn.

    Args:
        plan: what the ablation runs.
        loaded: the model to run.
        wanted: the rounds to run; before the first of a clip and fraction comes one that is not counted.

    Yields:
        The lines of one round.
    """
    strength = plan.strengths[len(plan.strengths) // 2]
    for clip in sorted({found[0] for found in wanted}):
        prepared = PreparedClip.make(plan, loaded, clip)
        loaded.model.set_prompt(prepared.clip.prompt)
        for kept in plan.kept:
            numbers = [number for index, fraction, number in wanted if (index, fraction) == (clip, kept)]
            for number in ([-1] if numbers else []) + numbers:
                lines = []
                for row in plan.rows_at(kept):
                    cell = Cell(clip, strength, plan.seeds[0], kept, row.name)
                    clock = PassClock(loaded.model.device)
                    prepared.denoise(row, cell, clock)
                    lines.append(
                        {
                            "what": "time",
                            **attrs.asdict(cell),
                            **plan.identity(row, kept),
                            "round": number,
                            "denoise": clock.denoise,
                            "clean": clock.clean,
                            "seconds": clock.denoise + clock.clean,
                        }
                    )
                if number >= 0:
                    yield lines
