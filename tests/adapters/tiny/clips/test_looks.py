"""Looks: filters that treat every frame alike."""

import pytest
import torch

from lipar.testing.closeness import assert_near
from lipar_adapters.tiny.clips.looks import LOOKS, apply_look


@pytest.mark.parametrize("look", LOOKS)
def test_a_look_stays_a_picture_and_treats_frames_alike(look: str) -> None:
    frames = torch.rand(1, 3, 32, 40).expand(2, -1, -1, -1)
    styled = apply_look(frames, look, "warm colours")
    assert styled.shape == frames.shape and styled.min() >= 0 and styled.max() <= 1
    assert_near(styled[0], styled[1], 1e-5)
