"""The shapes that are measured, and what a forward of them costs."""

import math

import pytest

from lipar_adapters.wan.shapes import SHAPES, flops_per_token, forward_flops, shape_named


@pytest.mark.parametrize(
    ("name", "linear", "attention", "cross"),
    [
        ("wan2.1-1.3b", 2.50, {6: 1.73, 7: 2.01, 21: 6.04}, 0.09),
        ("wan2.2-5b", 8.68, {6: 1.95, 7: 2.27, 21: 6.81}, 0.19),
    ],
)
def test_flops_are_those_of_the_models(name, linear, attention, cross):
    shape = shape_named(name)
    for frames, expected in attention.items():
        flops = flops_per_token(shape, frames * shape.tokens_per_frame)
        assert flops["self_attention"] / 1e9 == pytest.approx(expected, abs=0.006)
    assert flops["linear"] / 1e9 == pytest.approx(linear, abs=0.006)
    assert flops["cross_attention"] / 1e9 == pytest.approx(cross, abs=0.006)
    half = forward_flops(shape, 10, shape.tokens_per_frame, layers=shape.layers // 2)
    assert half == pytest.approx(5 * sum(flops_per_token(shape, shape.tokens_per_frame).values()))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=lambda shape: shape.name)
def test_a_shape_s_tokens_cover_its_pixels(shape):
    height, width = shape.pixels
    assert math.isclose(height / shape.rows, width / shape.cols)
    assert shape.width % shape.heads == 0
