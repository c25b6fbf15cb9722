"""Figures of a clip against the dense one, and the lines that say them."""

import pytest
import torch

from lipar_adapters.time_to_move.motion import MotionClip, MotionScene
from lipar_adapters.time_to_move.report import figures_of, summarise


def scene(frames=3):
    return MotionScene(
        frames=frames,
        width=32,
        height=32,
        steps=10,
        tweak_index=2,
        tstrong_index=5,
        masked_fraction=0.25,
        motion=torch.rand(frames, 3, 32, 32),
    )


def clip(offset=0.0, seconds=2.0, kept=0.5, frames=3):
    return MotionClip(
        pixels=torch.full((frames, 3, 32, 32), 0.5 + offset), seconds=seconds, kept_fraction=kept
    )


def test_figures_are_of_the_clip_against_the_dense_one(tmp_path):
    pytest.importorskip("cv2", reason="optical flow needs OpenCV")
    figures = figures_of(
        scene(), clip(0.1), dense=clip(seconds=3.0, kept=1), folder="owl", model="tiny", seed=7
    )
    assert figures.speedup == pytest.approx(1.5)
    assert figures.psnr_to_dense == pytest.approx(20, rel=1e-5)
    assert figures.warp_error == pytest.approx(0, abs=1e-9)
    assert "DIS" in figures.flow_method
    lines = summarise(figures, tmp_path / "owl.mp4", computed_all=False)
    assert "kept 50.0 % of the tokens, skipped 50.0 %" in lines
    assert "denoising took 2.00 s, 0.250 s a step" in lines
    assert (
        "denoising 1.50x faster than computing every token (3.00 s; one run of each, so its spread is not known); "
        "PSNR to dense 20.0 dB" in lines
    )
    assert lines[-1].startswith("warp error x 1000: dense 0.0, pruned 0.0 along the motion video's DIS")


def test_equal_clips_are_said_to_be_equal_and_one_frame_has_no_warp_error(tmp_path):
    figures = figures_of(scene(1), clip(frames=1), dense=clip(frames=1), folder="owl", model="tiny", seed=0)
    assert figures.psnr_to_dense is None
    assert figures.warp_error is None
    said = "\n".join(summarise(figures, tmp_path / "owl.mp4", computed_all=False))
    assert "equal to dense" in said
    assert "warp error not measured" in said
