"""The sizes of models that are measured, and the operations of a forward."""

import pytest

from lipar_adapters.wan.shapes import SHAPES, flops_per_token, forward_flops, shape_named


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_has_as_many_tokens_as_its_pixels(name: str) -> None:
    shape = shape_named(name)
    height, width = shape.pixels
    side = height // shape.rows
    assert (shape.rows * side, shape.cols * side) == (height, width)
    assert shape.tokens_per_frame == shape.rows * shape.cols
    assert shape.head_dim * shape.heads == shape.width


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(
        LookupError, match=r"no shape named 'wan3'; there are: toy, wan2\.1-1\.3b, wan2\.2-5b"
    ):
        shape_named("wan3")


def test_operations_of_a_token_are_counted_by_kind() -> None:
    # width 64, ffn 128, 2 layers, 16 rows of text; a multiply-add is two operations
    found = flops_per_token(shape_named("toy"), context_tokens=10)
    assert found == {
        "linear": 2 * 2 * (6 * 64**2 + 2 * 64 * 128),
        "self_attention": 2 * 2 * 2 * 10 * 64,
        "cross_attention": 2 * 2 * 2 * 16 * 64,
    }


def test_a_forward_costs_in_proportion_to_its_tokens_and_layers() -> None:
    shape = shape_named("toy")
    assert forward_flops(shape, 48, 48) == 48 * forward_flops(shape, 1, 48)
    assert forward_flops(shape, 5, 48, layers=4) == 2 * forward_flops(shape, 5, 48)
