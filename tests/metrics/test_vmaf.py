"""VMAF: the library's own number, in pieces, on luma as files hold it."""

import sys

import pytest
import torch
import torch.nn.functional as F

from lipar.metrics.packages import is_installed
from lipar.metrics.vmaf import luma, vmaf

needs_library = pytest.mark.skipif(not is_installed("vmaf-torch"), reason="VMAF is vmaf-torch's")


def moving(frames=5, size=48, seed=0):
    coarse = torch.rand(1, 3, 16, 16, generator=torch.Generator().manual_seed(seed))
    canvas = F.interpolate(coarse, (2 * size, 2 * size), mode="bicubic").clamp(0, 1)[0]
    return torch.stack([canvas[:, 2 * i : 2 * i + size, i : i + size] for i in range(frames)])


def noisy(clip, sigma):
    return (clip + sigma * torch.randn(clip.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)


def test_luma_is_from_16_to_235_with_the_weights_of_bt_709():
    colours = torch.tensor([[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])[:, :, None, None]
    assert luma(colours).flatten().tolist() == [16, 235, 63, 173, 32]


@needs_library
@pytest.mark.parametrize("neg", [False, True])
def test_it_is_the_number_of_the_library_for_the_whole_clip_however_it_is_cut(neg):
    from vmaf_torch import VMAF

    reference = moving()
    clip = noisy(reference, 0.15)
    with torch.no_grad():
        expected = float(VMAF(NEG=neg, clip_score=True)(luma(reference), luma(clip)).mean())
    assert 5 < expected < 95
    for frames in (1, 2, 3, 99):
        found = vmaf(clip, reference, neg=neg, pixels_at_once=frames * 48 * 48)
        assert found == pytest.approx(expected, rel=1e-4)


@needs_library
def test_a_clip_and_itself_is_near_100_and_more_noise_is_worse():
    clip = moving()
    values = [vmaf(noisy(clip, sigma), clip) for sigma in (0, 0.02, 0.05, 0.1)]
    assert values[0] > 97
    assert values == sorted(values, reverse=True) and values[-1] < values[0] - 10


@needs_library
def test_sharpening_does_not_raise_neg_as_it_raises_vmaf():
    clip = 0.25 + 0.5 * moving()
    blurred = F.avg_pool2d(clip, 3, 1, 1, count_include_pad=False)
    sharp = (clip + 1.5 * (clip - blurred)).clamp(0, 1)
    assert vmaf(sharp, blurred) > vmaf(sharp, blurred, neg=True)


@needs_library
def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match=r"17 pixels or more a side.*got 16x16"):
        vmaf(moving(2, 16), moving(2, 16))
    with pytest.raises(ValueError, match="one size"):
        vmaf(moving(2), moving(3))


@needs_library
def test_a_single_frame_and_the_smallest_picture_have_a_score():
    assert 0 <= vmaf(moving(1, 17), moving(1, 17)) <= 100


def test_without_the_library_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "vmaf_torch", None)
    with pytest.raises(ModuleNotFoundError, match=r"VMAF needs vmaf-torch.*pip install 'lipar\[measure\]'"):
        vmaf(moving(), moving())
