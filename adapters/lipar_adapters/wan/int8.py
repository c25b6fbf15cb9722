"""Linear layers of a Wan transformer with weights of 8 bits, for memory: half of bfloat16, on any device.

    x W^T  =  x (rows of W / r)^T r          r: largest value of a row / 127

The weights alone are rounded, to whole numbers; the input is not, and the product is computed in the type of the input.
Each call makes the layer's weights of that type again, so it is no faster than the layer as it was: `fp8` is the one
for speed, `int8` the one for memory, and for GPUs that have no fp8.

Written here rather than taken from torchao, whose `Int8WeightOnlyConfig` computes the same numbers in the same time on
a CPU: its weights are a tensor subclass, which costs the host more for each call (see `fp8`), and it takes seconds to
import. The tests compare the two where it is installed.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lipar_adapters.wan.quantised_linear import QuantisedLinear

LARGEST = 127
"""The largest whole number of 8 bits whose negative is one, too."""


def quantise_weights(weight: Tensor) -> tuple[Tensor, Tensor]:
    """Rows as whole numbers of 8 bits, and the scale of each, so that `weight` is about their product.

    Args:
        weight: `rows columns`.

    Returns:
        `rows columns` in int8, and `rows 1` in float32.
    """
    weight = weight.float()
    # a row of zeros has any scale
    scale = weight.abs().amax(-1, keepdim=True).clamp(min=torch.finfo(torch.float32).tiny) / LARGEST
    rows = (weight / scale).round().clamp(-LARGEST, LARGEST)
    return rows.to(torch.int8), scale


class Int8Linear(QuantisedLinear):
    """A linear layer whose weights are whole numbers of 8 bits, with a scale for each output channel.

    Args:
        linear: the layer that it replaces, of any size.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__(linear, *quantise_weights(linear.weight.detach()))

    def forward(self, x: Tensor) -> Tensor:
        """The product with the weights; `x` has any number of leading axes."""
        # scaled before the product, which in float16 would overflow on the whole numbers themselves
        return F.linear(x, self.rows.to(x.dtype) * self.scale.to(x.dtype), self.bias)
