"""Time of the denoise passes, row against row, interleaved in one process."""

import typing
from collections.abc import Iterator
from typing import Any

import attrs
import torch

from lipar.hookspecs import hookimpl
from lipar.watch.clock import Stopwatch
from lipar_lab.ablation.cells import ClipBench
from lipar_lab.ablation.plan import Bench, Plan


@attrs.define(eq=False)
class PassClock:
    """A plugin that adds up the seconds of denoise passes after the first block."""

    device: torch.device
    seconds: float = 0.0

    # pluggy takes a generator function for a wrapper, whatever the annotation says
    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_forward(self, forward_pass, layout):
        watch = Stopwatch(self.device)
        answer = yield
        if layout.has_history and not forward_pass.clean:
            self.seconds += watch.seconds()
        return answer


def timed_rows(plan: Plan, bench: Bench, rounds: int) -> Iterator[dict[str, Any]]:
    """Seconds of every row on the first clip at the middle strength; all rows in turn, `rounds` times.

    A round before them warms up and is not given.
    """
    work = ClipBench.make(plan, bench, 0, plan.kept)
    bench.model.set_prompt(work.clip.prompt)
    strength = plan.strengths[len(plan.strengths) // 2]
    for kept in plan.kept:
        for number in range(-1, rounds):
            for row in plan.rows:
                clock = PassClock(bench.model.device)
                work.denoise(row, strength, work.mask(row, kept), clock)
                if number >= 0:
                    yield {
                        "what": "time",
                        "row": row.name,
                        "settings": list(row.settings),
                        "kept": kept,
                        "strength": strength,
                        "round": number,
                        "seconds": clock.seconds,
                    }
