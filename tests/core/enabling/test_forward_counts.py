"""Counts and times of forwards, by expert."""

import copy
import pickle

import pytest
import torch

from lipar import TokenLayout
from lipar.enabling.forward_counts import ForwardCount, ForwardCounts

CPU = torch.device("cpu")
EVERYTHING = TokenLayout.keep_all((2, 1, 2), has_history=False)
PART = TokenLayout(torch.tensor([[[True, True]], [[False, True]]]), has_history=False)


def test_each_expert_has_its_own_count() -> None:
    counts = ForwardCounts()
    for expert, layout in (("transformer", EVERYTHING), ("transformer", PART), ("transformer_2", PART)):
        counts.begin(expert, layout, CPU)
        counts.end()
    found = counts.by_expert()
    assert (found["transformer"].kept_tokens, found["transformer"].all_tokens) == (7, 8)
    assert (found["transformer_2"].kept_tokens, found["transformer_2"].all_tokens) == (3, 4)
    assert counts.forwards == counts.total().forwards == counts.total().timed == 3
    assert counts.total().seconds == pytest.approx(sum(count.seconds for count in found.values()))


def test_the_fastest_full_and_pruned_forwards_are_kept() -> None:
    count = ForwardCount()
    for seconds, full in ((0.4, True), (0.3, True), (0.2, False), (0.25, False)):
        count.add_time(seconds, full=full)
    assert (count.fastest_full, count.fastest_pruned, count.timed) == (0.3, 0.2, 4)
    assert count.mean_seconds == pytest.approx(1.15 / 4)
    both = count.plus(ForwardCount(fastest_pruned=0.1))
    assert (both.fastest_full, both.fastest_pruned) == (0.3, 0.1)
    assert ForwardCount().mean_seconds is None


def test_a_forward_that_was_interrupted_is_counted_and_not_timed() -> None:
    counts = ForwardCounts()
    counts.begin("transformer", PART, CPU)
    counts.begin("transformer", PART, CPU)
    counts.end()
    counts.end()
    assert (counts.total().forwards, counts.total().timed) == (2, 1)


def test_a_device_without_events_is_not_timed() -> None:
    counts = ForwardCounts()
    counts.begin("transformer", PART, torch.device("meta"))
    counts.end()
    assert (counts.total().forwards, counts.total().timed) == (1, 0)


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda counts: pickle.loads(pickle.dumps(counts))])
def test_a_copy_counts_by_itself(duplicate) -> None:
    counts = ForwardCounts()
    counts.begin("transformer", PART, CPU)
    other = duplicate(counts)
    other.begin("transformer", PART, CPU)
    assert (counts.forwards, other.forwards) == (1, 2)


@pytest.mark.gpu
def test_on_a_gpu_the_time_is_that_of_the_device() -> None:
    counts, device = ForwardCounts(), torch.device("cuda")
    values = torch.randn(4096, 4096, device=device)
    for _ in range(3):
        counts.begin("transformer", PART, device)
        for _ in range(20):
            values = values @ values / 64
        counts.end()
    pickle.dumps(counts)
    total = counts.total()
    assert total.timed == 3
    assert total.seconds > 3 * 20 * 2 * 4096**3 / 1e15
