"""Nearness of two clips, on known errors."""

import math
import sys

import pytest
import torch

from lipar.metrics import pieces
from lipar.metrics.fidelity import ms_ssim, psnr, ssim


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


def pictures(frames=2, height=48, width=40, seed=0):
    return torch.rand(frames, 3, height, width, generator=torch.Generator().manual_seed(seed))


def test_ssim_of_two_flat_pictures_is_the_comparison_of_their_brightness() -> None:
    pytest.importorskip("torchmetrics", reason="SSIM is torchmetrics'")
    one, other = torch.full((2, 3, 16, 16), 0.4), torch.full((2, 3, 16, 16), 0.6)
    expected = (2 * 0.4 * 0.6 + 0.01**2) / (0.4**2 + 0.6**2 + 0.01**2)
    assert ssim(one, other) == pytest.approx(expected, rel=1e-3)


def test_ssim_is_that_of_scikit_image() -> None:
    pytest.importorskip("torchmetrics", reason="SSIM is torchmetrics'")
    library = pytest.importorskip("skimage.metrics", reason="compares with scikit-image")
    a = pictures()
    b = (a + 0.2 * torch.randn(a.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    settings = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    expected = [
        library.structural_similarity(
            one.numpy(), other.numpy(), channel_axis=0, data_range=1.0, win_size=11, **settings
        )
        for one, other in zip(a, b)
    ]
    assert ssim(a, b) == pytest.approx(sum(expected) / 2, rel=1e-3)


def test_ms_ssim_of_two_flat_pictures_is_the_last_scale_with_its_weight() -> None:
    pytest.importorskip("torchmetrics", reason="MS-SSIM is torchmetrics'")
    one, other = torch.full((1, 3, 176, 192), 0.4), torch.full((1, 3, 176, 192), 0.6)
    brightness = (2 * 0.4 * 0.6 + 0.01**2) / (0.4**2 + 0.6**2 + 0.01**2)
    assert ms_ssim(one, other) == pytest.approx(brightness**0.1333, rel=1e-3)


@pytest.mark.parametrize(("measure", "size"), [(ssim, 32), (ms_ssim, 176)])
def test_structure_is_1_for_a_clip_and_itself_symmetric_and_falls_with_noise(measure, size) -> None:
    pytest.importorskip("torchmetrics", reason="SSIM is torchmetrics'")
    a = pictures(2, size, size)
    noise = torch.randn(a.shape, generator=torch.Generator().manual_seed(1))
    values = [measure(a, a + sigma * noise) for sigma in (0, 0.05, 0.1, 0.2)]
    assert values[0] == pytest.approx(1, abs=1e-5)
    assert values == sorted(values, reverse=True) and values[-1] < 0.99
    assert measure(a, a + 0.1 * noise) == pytest.approx(measure(a + 0.1 * noise, a), rel=1e-5)


@pytest.mark.parametrize(("measure", "size"), [(ssim, 32), (ms_ssim, 176)])
def test_pieces_do_not_change_the_mean(monkeypatch, measure, size) -> None:
    pytest.importorskip("torchmetrics", reason="SSIM is torchmetrics'")
    a, b = pictures(3, size, size), pictures(3, size, size, seed=1)
    whole = measure(a, b)
    monkeypatch.setattr(pieces.pieces, "__defaults__", (2 * size * size,))
    assert measure(a, b) == pytest.approx(whole, rel=1e-6)
    assert whole == pytest.approx(sum(measure(a[i : i + 1], b[i : i + 1]) for i in range(3)) / 3, rel=1e-6)


def test_what_cannot_be_compared_is_refused() -> None:
    pytest.importorskip("torchmetrics", reason="SSIM is torchmetrics'")
    with pytest.raises(ValueError, match=r"11 pixels or more a side.*got 40x10"):
        ssim(pictures(1, 10), pictures(1, 10))
    with pytest.raises(ValueError, match=r"176 pixels or more a side.*got 40x48"):
        ms_ssim(pictures(), pictures())
    with pytest.raises(ValueError, match=r"one size; got \[2, 3, 48, 40\] and \[1, 3, 48, 40\]"):
        ssim(pictures(), pictures(1))
    with pytest.raises(ValueError, match="must have a frame"):
        ssim(pictures(0), pictures(0))


@pytest.mark.parametrize("measure", [ssim, ms_ssim])
def test_without_torchmetrics_it_says_what_to_install(monkeypatch, measure) -> None:
    monkeypatch.setitem(sys.modules, "torchmetrics", None)
    with pytest.raises(ModuleNotFoundError, match=r"needs torchmetrics.*pip install 'lipar\[measure\]'"):
        measure(pictures(), pictures())
