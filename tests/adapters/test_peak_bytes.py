"""Bytes are counted while tensors live; views, changes in place and what was there before count nothing."""

import torch
from torch.nn import functional as F

from lipar_adapters.peak_bytes import FusedAttention, PeakBytes

META = torch.device("meta")


def made(count):
    return torch.empty(count, dtype=torch.uint8, device=META)


def test_what_is_dropped_makes_room():
    with PeakBytes() as counted:
        first = made(100)
        del first
        second, third = made(70), made(20)
    assert counted.peak == 100 and second.numel() + third.numel() == 90


def test_what_lives_at_the_same_time_is_added():
    with PeakBytes() as counted:
        held = [made(100) for _ in range(3)]
    assert counted.peak == 300 and len(held) == 3


def test_views_and_changes_in_place_take_nothing():
    before = made(50)
    with PeakBytes() as counted:
        before.view(5, 10).add_(1)
        own = made(40)
        view = own[:10]
        own.mul_(2)
    assert counted.peak == 40 and view.numel() == 10


def test_temporary_results_count_while_they_are_there():
    x = torch.empty(10, 10, device=META)
    with PeakBytes() as counted:
        y = (x + 1) * 2
    # both results at the moment of the product
    assert counted.peak == 2 * y.nbytes


def test_it_counts_real_tensors_as_those_without_values():
    peaks = []
    for device in ("cpu", "meta"):
        layers = torch.nn.Sequential(torch.nn.Linear(8, 64), torch.nn.GELU(), torch.nn.Linear(64, 8)).to(
            device
        )
        with torch.no_grad(), PeakBytes() as counted:
            layers(torch.empty(4, 8, device=device))
        peaks.append(counted.peak)
    assert peaks[0] == peaks[1] >= 2 * 4 * 64 * 4


def test_attention_keeps_no_scores():
    q = torch.empty(1, 2, 50, 8, device=META)
    with PeakBytes() as counted, FusedAttention():
        out = F.scaled_dot_product_attention(q, q, q)
    assert counted.peak == out.nbytes == q.nbytes
