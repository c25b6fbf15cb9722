"""Time of the denoise passes, rows interleaved in one process."""

import typing
from collections.abc import Iterator
from typing import Any

import attrs
import torch

from lipar.hookspecs import hookimpl
from lipar.watch.clock import Stopwatch
from lipar_lab.ablation.plan import LoadedModel, Plan
from lipar_lab.ablation.prepared_clip import PreparedClip


@attrs.define(eq=False)
class PassClock:
    """A plugin that sums the seconds of denoise passes after the first block."""

    device: torch.device
    seconds: float = 0.0

    # no type check: pluggy requires a generator function, whatever its annotation says
    @hookimpl(wrapper=True)
    @typing.no_type_check
    def lipar_forward(self, forward_pass, layout):
        """The model's flow, unchanged."""
        watch = Stopwatch(self.device)
        answer = yield
        if layout.has_history and not forward_pass.clean:
            self.seconds += watch.seconds()
        return answer


def timed_rows(plan: Plan, loaded: LoadedModel, rounds: int) -> Iterator[dict[str, Any]]:
    """Seconds of each row on the first clip at the middle strength, the rows in turn.

    Args:
        plan: what the ablation runs.
        loaded: the model to run.
        rounds: times that each row is timed, after one round that is not counted.

    Yields:
        Lines of the record.
    """
    prepared = PreparedClip.make(plan, loaded, 0, plan.kept)
    loaded.model.set_prompt(prepared.clip.prompt)
    strength = plan.strengths[len(plan.strengths) // 2]
    for kept in plan.kept:
        for number in range(-1, rounds):
            for row in plan.rows:
                clock = PassClock(loaded.model.device)
                prepared.denoise(row, strength, prepared.mask(row, kept), clock)
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
