"""The table of figures: every one is measured, refused in time, and described in the docs."""

import math
import re
import sys
from pathlib import Path

import attrs
import pytest
import torch
import torch.nn.functional as F
from lpips_toys import write_lpips_files

from lipar.metrics.features import ColourGradientGrid
from lipar.metrics.table import METRICS, Clips, check_available, consistency_metrics, lpips_metric, measure
from lipar.metrics.warp_error import FLOW_METHOD

pytest.importorskip("torchmetrics", reason="the table holds SSIM")
pytest.importorskip("vmaf_torch", reason="the table holds VMAF")
pytest.importorskip("cv2", reason="the table holds warp error")

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "metrics.md"


def moving(frames=4, size=176):
    """A view that moves over a picture, in its middle; still around it."""
    coarse = torch.rand(1, 3, 22, 22, generator=torch.Generator().manual_seed(0))
    canvas = F.interpolate(coarse, (size, size), mode="bicubic").clamp(0, 1)[0]
    clip = canvas.repeat(frames, 1, 1, 1)
    for index in range(frames):
        clip[index, :, 64:112, 64:112] = canvas[:, 32 + 2 * index : 80 + 2 * index, 64:112]
    return clip


def noisy(clip, sigma):
    return (clip + sigma * torch.randn(clip.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)


@pytest.fixture(scope="module")
def clips():
    source = moving()
    keep = torch.zeros(4, 176, 176, dtype=torch.bool)
    keep[:, 64:112, 64:112] = True
    return Clips(result=noisy(source, 0.05), dense=source, source=source, keep=keep)


def test_keys_are_those_of_the_metrics_and_texts_are_sentences():
    for key, metric in METRICS.items():
        assert metric.key == key and metric.label and metric.about.endswith(".")


def test_every_metric_has_a_value_where_all_clips_are_given(clips):
    values = measure(clips, list(METRICS))
    assert list(values) == list(METRICS)
    assert all(isinstance(value, float) and math.isfinite(value) for value in values.values())


@pytest.mark.parametrize("key", METRICS)
def test_more_noise_is_never_better_and_the_same_clip_is_best(clips, key):
    values = [
        METRICS[key](attrs.evolve(clips, result=noisy(clips.source, sigma))) for sigma in (0, 0.03, 0.1)
    ]
    if key == "border-ratio":  # noise is no seam: the ratio stays at 1, and has no value without an error
        assert values[0] is None and values[1:] == pytest.approx([1, 1], abs=0.05)
        return
    assert None not in values
    assert values == sorted(values, reverse=METRICS[key].better == "higher")
    assert values[0] != values[-1]


def test_without_what_it_is_compared_with_a_metric_is_none(clips):
    values = measure(Clips(result=clips.result), list(METRICS))
    assert {key for key, value in values.items() if value is not None} == {"warp-error"}
    without_mask = measure(attrs.evolve(clips, keep=None), ["border-error", "psnr"])
    assert without_mask["border-error"] is None and without_mask["psnr"] is not None


def test_a_picture_too_small_has_none_and_the_reason(clips):
    small = Clips(result=torch.rand(2, 3, 64, 64), dense=torch.rand(2, 3, 64, 64))
    assert measure(small, ["ms-ssim"]) == {"ms-ssim": None}
    assert "176 pixels" in (METRICS["ms-ssim"].undefined(small) or "")
    assert METRICS["ms-ssim"].undefined(clips) is None


def test_equal_clips_have_infinite_psnr(clips):
    assert measure(attrs.evolve(clips, result=clips.dense), ["psnr"]) == {"psnr": math.inf}


def test_warp_error_follows_the_source_and_else_the_dense_clip_and_names_its_flow(clips):
    metric = METRICS["warp-error"]
    assert FLOW_METHOD in metric.label
    other = torch.stack([clips.source[0]] * 4)
    along_source = metric(attrs.evolve(clips, dense=other))
    along_dense = metric(attrs.evolve(clips, source=None, dense=other))
    assert along_source == metric(clips) and along_dense != along_source
    assert metric(Clips(result=clips.result[:1])) is None


def test_clips_of_other_sizes_are_refused(clips):
    with pytest.raises(ValueError, match="must have one size"):
        Clips(result=clips.result, dense=clips.dense[:2])
    with pytest.raises(TypeError, match=r"Clips\.result must be"):
        Clips(result=clips.result[0])


def test_unknown_names_and_missing_packages_are_refused_before_work(monkeypatch):
    with pytest.raises(LookupError, match=r"no metric named 'ssmi'; there are psnr, ssim.*lpips needs its"):
        check_available(["psnr", "ssmi"])
    check_available(list(METRICS))
    monkeypatch.setitem(sys.modules, "vmaf_torch", None)
    check_available(["psnr", "ssim"])
    with pytest.raises(ModuleNotFoundError, match=r"VMAF needs vmaf-torch.*pip install 'lipar\[measure\]'"):
        check_available(["psnr", "vmaf"])


def test_lpips_is_in_the_table_when_its_weights_are_given(clips, tmp_path):
    table = METRICS | lpips_metric(*write_lpips_files(tmp_path))
    assert "lpips" not in METRICS
    values = measure(clips, ["psnr", "lpips"], table)
    assert values["lpips"] is not None and values["lpips"] > 0
    assert measure(attrs.evolve(clips, result=clips.dense), ["lpips"], table) == {"lpips": 0}


def test_the_label_of_consistency_names_the_feature():
    metrics = consistency_metrics(ColourGradientGrid(cells=5))
    assert set(metrics) == {"subject-consistency", "background-consistency"}
    assert all("colour and gradient grid 5x5" in metric.label for metric in metrics.values())


def test_the_page_has_a_heading_for_every_metric_with_its_direction():
    sections = dict(re.findall(r"^## `([\w-]+)`.*?\n(.*?)(?=^## |\Z)", PAGE.read_text("utf-8"), re.S | re.M))
    assert sections.keys() == METRICS.keys() | {"lpips"}
    for key, metric in METRICS.items():
        assert f"{metric.better} is better" in " ".join(sections[key].lower().split())
        if metric.needs:
            assert metric.needs in sections[key]
