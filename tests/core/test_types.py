"""The validator of tensor shapes in attrs classes."""

import attrs
import pytest
import torch

from lipar.types import KeepMask, shaped


@attrs.frozen(eq=False)
class Block:
    mask = attrs.field(validator=shaped(KeepMask))


@pytest.mark.parametrize(
    ("value", "came"),
    [
        (torch.ones(2, 2, dtype=torch.bool), r"got torch\.bool\[2, 2\]"),
        (torch.ones(1, 2, 2), r"got torch\.float32\[1, 2, 2\]"),
        ([[True]], r"got \[\[True\]\]"),
    ],
)
def test_a_field_of_another_shape_type_or_kind_is_refused_by_name(value, came):
    with pytest.raises(TypeError, match=rf"Block\.mask must be Bool\[Tensor, 't rows cols'\], {came}"):
        Block(value)


def test_a_tensor_of_the_shape_is_taken():
    mask = torch.ones(1, 2, 3, dtype=torch.bool)
    assert Block(mask).mask is mask
