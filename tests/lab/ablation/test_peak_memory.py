"""The largest memory of tensors while something runs."""

import torch

from lipar_lab.ablation.peak_memory import PeakMemory

CPU = torch.device("cpu")


def test_what_lives_at_the_same_time_is_summed_and_what_is_gone_is_not() -> None:
    held = torch.zeros(1000)
    with PeakMemory(CPU, [held]) as memory:
        first = torch.ones(500)
        second = first + 1
        del first
        third = second * 2
        assert third.numel() == 500
    assert memory.peak == 4 * (1000 + 2 * 500)


def test_views_and_what_was_held_before_are_not_counted_twice() -> None:
    held = torch.zeros(1000)
    with PeakMemory(CPU, [held]) as memory:
        held.add_(1)
        assert held.view(10, 100)[:5].numel() == 500
    assert memory.peak == 4 * 1000
