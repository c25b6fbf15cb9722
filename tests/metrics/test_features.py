"""The feature without weights: what it sees, and that it sees only its region."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lipar.metrics.features import ColourGradientGrid, Feature

EVERYWHERE = torch.ones(16, 16, dtype=torch.bool)


def cosine(a, b):
    return float(torch.nn.functional.cosine_similarity(a, b, dim=-1))


def ramp(angle):
    rows, cols = torch.meshgrid(torch.arange(16.0), torch.arange(16.0), indexing="ij")
    values = 0.5 + 0.01 * (math.cos(angle) * (cols - 7.5) + math.sin(angle) * (rows - 7.5))
    return values.expand(1, 3, 16, 16)


def test_it_is_a_feature_and_its_name_holds_its_size():
    assert isinstance(ColourGradientGrid(), Feature)
    assert ColourGradientGrid(cells=4).name == "colour and gradient grid 4x4"


def test_a_ramp_falls_into_the_bin_of_its_direction_and_the_colours_stand_after_it():
    grid = ColourGradientGrid(cells=1, bins=4)
    inner = torch.zeros(16, 16, dtype=torch.bool)
    inner[1:-1, 1:-1] = True  # at its sides the picture goes on with the same value
    for index in range(4):
        vector = grid(ramp(index * math.pi / 4), inner)[0]
        # less their mean, and of length 1
        expected = [(0.75 if place == index else -0.25) / 0.75**0.5 for place in range(4)]
        assert vector[:4].tolist() == pytest.approx(expected, abs=1e-3)
    red = torch.zeros(1, 3, 16, 16)
    red[:, 0] = 1
    vector = grid(red, EVERYWHERE)[0]
    assert vector[:4].tolist() == [0] * 4
    assert vector[4:].tolist() == pytest.approx([3**-0.5, -(3**-0.5), -(3**-0.5)], rel=1e-5)


@given(st.integers(0, 2**31))
def test_what_lies_outside_of_the_region_does_not_matter(seed):
    draw = torch.Generator().manual_seed(seed)
    region = torch.rand(16, 16, generator=draw) < 0.7
    a = torch.rand(1, 3, 16, 16, generator=draw)
    b = torch.where(region, a, torch.rand(1, 3, 16, 16, generator=draw))
    grid = ColourGradientGrid(cells=4)
    assert torch.equal(grid(a, region), grid(b, region))


def test_another_picture_has_another_vector():
    draw = torch.Generator().manual_seed(0)
    a, b = (torch.rand(1, 3, 16, 16, generator=draw) for _ in range(2))
    grid = ColourGradientGrid()
    assert (
        cosine(grid(a, EVERYWHERE), grid(b, EVERYWHERE))
        < 0.9
        < cosine(grid(a, EVERYWHERE), grid(a + 0.01 * b, EVERYWHERE))
    )
