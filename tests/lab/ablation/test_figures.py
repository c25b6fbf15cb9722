"""The figures of a run, on known inputs."""

import pytest
import torch

from lipar_lab.ablation.figures import Baseline, figures, flicker, high_frequencies, psnr, still_pixels


def test_psnr_of_a_known_error_and_none_where_equal() -> None:
    a = torch.rand(2, 3, 8, 8)
    assert psnr(a, a + 0.1) == pytest.approx(20, rel=1e-5)
    assert psnr(a, a + 0.1, peak=10.0) == pytest.approx(40, rel=1e-5)
    assert psnr(a, a.clone()) is None


def test_psnr_reads_only_what_the_mask_shows() -> None:
    a = torch.zeros(2, 3, 4, 4)
    b = a.clone()
    b[:, :, 0] = 0.1
    first_row = torch.zeros(2, 1, 4, 4, dtype=torch.bool)
    first_row[:, :, 0] = True
    assert psnr(a, b, where=first_row) == pytest.approx(20, rel=1e-5)
    assert psnr(a, b, where=~first_row) is None
    assert psnr(a, b, where=torch.zeros_like(first_row)) is None


def test_high_frequencies_fall_under_blur_and_vanish_on_flat_colour() -> None:
    noise = torch.rand(2, 3, 32, 32)
    blurred = torch.nn.functional.avg_pool2d(noise, 3, 1, 1)
    energy, softer = high_frequencies(noise), high_frequencies(blurred)
    assert energy is not None and softer is not None
    assert 0 < softer < 0.3 * energy
    assert high_frequencies(torch.full((2, 3, 8, 8), 0.4)) == pytest.approx(0, abs=1e-12)


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
