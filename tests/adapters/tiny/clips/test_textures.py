"""Procedural pictures: textures for the ground, shaded shapes for the objects."""

import numpy as np
import pytest
import torch

from lipar_adapters.tiny.clips.textures import CANVAS, SPRITE, shape_sprites, texture
from lipar_adapters.tiny.vocabulary import SCENES, SHAPES


@pytest.mark.parametrize("word", SCENES)
def test_a_texture_is_a_picture_that_its_seed_decides(word: str) -> None:
    first, again = (texture(word, np.random.default_rng(1), "cpu") for _ in range(2))
    assert first.shape == (3, CANVAS, CANVAS) and 0 <= first.min() < first.max() <= 1
    assert torch.equal(first, again)


@pytest.mark.parametrize("shape", SHAPES)
def test_two_sprites_of_a_shape_have_one_outline_and_two_colours(shape: str) -> None:
    red, blue = shape_sprites(shape, ["red", "blue"], np.random.default_rng(1), "cpu")
    assert red.shape == (4, SPRITE, SPRITE)
    assert torch.equal(red[3], blue[3]) and 0 < red[3].mean() < 1
    assert not torch.equal(red[:3], blue[:3])
