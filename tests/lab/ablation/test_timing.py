"""The time of denoise passes."""

import pytest
import torch
from lab_toys import toy_loaded, toy_plan

from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass
from lipar_lab.ablation.timing import PassClock, timed_rows


def test_every_row_is_timed_in_every_round() -> None:
    plan = toy_plan("none")
    lines = list(timed_rows(plan, toy_loaded(), 2))
    assert [(line["round"], line["row"]) for line in lines] == [
        (number, row) for number in (0, 1) for row in ("dense", "none", "paper")
    ]
    assert all(line["seconds"] > 0 and line["kept"] == 0.5 for line in lines)


def test_only_denoise_passes_after_the_first_block_are_counted() -> None:
    clock = PassClock(torch.device("cpu"))

    def run(step: int, has_history: bool) -> None:
        layout = TokenLayout.keep_all((1, 1, 1), has_history=has_history, first_frame=3 * has_history)
        wrapper = clock.lipar_forward(ForwardPass.at(step, 0.0 if step < 0 else 0.5), layout)
        next(wrapper)
        with pytest.raises(StopIteration):
            wrapper.send("flow")

    run(0, False)
    run(-1, True)
    assert clock.seconds == 0
    run(0, True)
    assert clock.seconds > 0
