"""The time of denoise passes."""

import attrs
import pytest
import torch
from lab_toys import toy_loaded, toy_plan

from lipar.layout import TokenLayout
from lipar.protocols import ForwardPass
from lipar_lab.ablation.suite import Timing
from lipar_lab.ablation.timing import PassClock, rounds_of, timed_rounds


def test_every_row_is_timed_in_every_round_that_is_wanted() -> None:
    plan = attrs.evolve(toy_plan("none"), timing=Timing(rounds=2, clips=2))
    assert rounds_of(plan) == [(0, 0.5, 0), (0, 0.5, 1), (1, 0.5, 0), (1, 0.5, 1)]
    found = list(timed_rounds(plan, toy_loaded(), [(0, 0.5, 1), (1, 0.5, 0)]))
    assert [[(line["clip"], line["round"], line["row"]) for line in lines] for lines in found] == [
        [(clip, number, row) for row in ("dense", "none", "paper")] for clip, number in ((0, 1), (1, 0))
    ]
    for line in (line for lines in found for line in lines):
        assert line["denoise"] > 0 and line["clean"] > 0 and line["kept"] == 0.5
        assert line["seconds"] == line["denoise"] + line["clean"]


def test_passes_after_the_first_block_are_counted_denoise_and_clean_passes_apart() -> None:
    clock = PassClock(torch.device("cpu"))

    def run(step: int, has_history: bool) -> None:
        layout = TokenLayout.keep_all((1, 1, 1), has_history=has_history, first_frame=3 * has_history)
        wrapper = clock.lipar_forward(ForwardPass.at(step, 0.0 if step < 0 else 0.5), layout)
        next(wrapper)
        with pytest.raises(StopIteration):
            wrapper.send("flow")

    run(0, False)
    run(-1, False)
    assert clock.denoise == clock.clean == 0
    run(-1, True)
    assert clock.clean > 0 == clock.denoise
    run(0, True)
    assert clock.denoise > 0
