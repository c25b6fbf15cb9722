"""The figures of a run, on known inputs."""

import pytest
import torch

from lipar.metrics.stillness import flicker, still_pixels
from lipar_lab.ablation.figures import Baseline, figures


def test_flicker_is_measured_where_the_source_is_still() -> None:
    source = torch.full((4, 3, 16, 16), 0.5)
    source[2:, :, :, 8:] = 0.9
    still = still_pixels(source)
    assert still[1].all() and not still[0].any()
    assert still[2, :, :8].all() and not still[2, :, 8:].any()
    edited = source.clone()
    edited[1::2, :, :, :8] += 10 / 255
    only_left = flicker(edited, still & (torch.arange(16) < 8))
    assert only_left == pytest.approx(10, rel=1e-4)
    assert flicker(edited, torch.zeros_like(still)) is None


def test_figures_compare_with_the_dense_run_and_the_exact_edit() -> None:
    dense, pixels = torch.rand(1, 2, 4, 4, 4), torch.rand(4, 3, 16, 16)
    dense[0, 0, 0, 0, 0], dense[0, 0, 0, 0, 1] = 0.0, 2.0  # the range, which is the peak
    baseline = Baseline.of(dense, pixels, torch.full_like(pixels, 0.5), pixels.clone())
    everything = torch.ones(2, 4, 4, dtype=torch.bool), torch.ones(4, 16, 16, dtype=torch.bool)
    same = figures(dense, pixels, baseline, *everything)
    assert same["psnr_latent"] is same["psnr_pixel"] is same["psnr_target"] is None
    assert same["high_frequencies"] == 1 and same["flicker"] > 0
    off = figures(dense + 0.2, pixels + 0.1, baseline, *everything)
    assert off["psnr_latent"] == off["psnr_latent_kept"] == pytest.approx(20, rel=1e-5)
    assert off["psnr_pixel"] == off["psnr_target"] == pytest.approx(20, rel=1e-5)
