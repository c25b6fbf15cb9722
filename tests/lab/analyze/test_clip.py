"""The experiments on one clip whose redundancy is known."""

import json
import math

import attrs
import pytest
import torch
from analyze_toys import clip_file, toy_analysis, toy_coder

from lipar_lab.analyze.clip import ClipResult, analyze_clip
from lipar_lab.analyze.coding import CodedClip


@pytest.fixture
def clip(tmp_path):
    return toy_coder().read(clip_file(tmp_path))


def analysed(clip):
    calls = []
    result, change = analyze_clip(
        "clip", clip, toy_coder(), toy_analysis().experiments, lambda: calls.append(1)
    )
    assert len(calls) == 4
    return result, change


def test_latents_that_are_averages_of_pixels_change_with_them(clip):
    result, change = analysed(clip)
    assert result.sums.count == change.numel() == 3 * 3 * 4
    assert result.sums.pearson is not None and result.sums.pearson > 0.8
    assert len(result.shown) == result.sums.count


def test_theta_0_replaces_nothing_and_a_huge_one_everything(clip):
    result, _ = analysed(clip)
    assert result.points[0].replaced == 0 and result.points[0].figures == {"psnr": math.inf}
    assert result.points[-1].replaced == 1
    figures = [point.figures["psnr"] for point in result.points]
    assert figures == sorted(figures, reverse=True)


def test_a_still_clip_is_replaced_without_a_difference(clip):
    still = attrs.evolve(
        clip,
        pixels=clip.pixels[:1].repeat(len(clip.pixels), 1, 1, 1),
        latents=clip.latents[:1].repeat(len(clip.latents), 1, 1, 1),
    )
    result, change = analysed(still)
    assert change.abs().sum() == 0 and result.sums.pearson is None
    assert [point.replaced for point in result.points] == [0, 1, 1, 1]
    assert all(point.figures == {"psnr": math.inf} for point in result.points)


def test_a_first_latent_frame_that_stands_apart_is_in_no_patch(clip):
    class Apart(type(toy_coder().autoencoder)):
        first_pixel_frames = 1

        def decoder(self):
            decode = super().decoder()
            begun = []

            def once(latents):
                pixels = decode(latents)
                drop = 0 if begun else 3
                begun.append(True)
                return pixels[:, drop:]

            return once

    coder = toy_coder(autoencoder=Apart())
    apart = CodedClip(
        pixels=torch.cat([clip.pixels[:1] * 0, clip.pixels]),
        latents=torch.cat([clip.latents[:1] * 0, clip.latents]),
        info=clip.info,
        times=clip.times,
    )
    expected, _ = analysed(clip)
    found, _ = analyze_clip("clip", apart, coder, toy_analysis().experiments, lambda: None)
    assert found.sums == expected.sums
    assert [point.replaced for point in found.points] == [point.replaced for point in expected.points]


def test_a_result_comes_back_from_json(clip):
    result, _ = analysed(clip)
    assert ClipResult.from_json(json.loads(json.dumps(result.to_json()))) == result
