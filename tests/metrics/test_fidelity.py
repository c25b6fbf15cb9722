"""Nearness of two clips, on known errors."""

import math

import pytest
import torch

from lipar.metrics.fidelity import psnr


def test_psnr_of_a_known_error_and_infinite_where_equal() -> None:
    a = torch.rand(2, 3, 8, 8)
    assert psnr(a, a + 0.1) == pytest.approx(20, rel=1e-5)
    assert psnr(a, a + 0.1, peak=10.0) == pytest.approx(40, rel=1e-5)
    assert psnr(a, a.clone()) == math.inf


def test_psnr_reads_only_what_the_mask_shows() -> None:
    a = torch.zeros(2, 3, 4, 4)
    b = a.clone()
    b[:, :, 0] = 0.1
    first_row = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    first_row[:, :, 0] = True
    assert psnr(a, b, where=first_row) == pytest.approx(20, rel=1e-5)
    assert psnr(a, b, where=~first_row) == math.inf
    assert math.isnan(psnr(a, b, where=torch.zeros_like(first_row)))
