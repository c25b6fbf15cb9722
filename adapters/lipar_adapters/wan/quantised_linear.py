"""Linear layers with weights of 8 bits and a scale for each output channel: what `fp8` and `int8` have in common."""

from collections.abc import Callable

from torch import Tensor, nn


class QuantisedLinear(nn.Module):
    """The weights of a linear layer in 8 bits.

    Args:
        linear: the layer that it replaces.
        rows: its weights, rounded, `out in`.
        scale: of each row, `out 1` or `1 out`, in float32.
    """

    rows: Tensor
    """The weights, `out in`. Not named `weight`: whoever reads that would take them without their scales."""
    scale: Tensor
    bias: Tensor | None

    def __init__(self, linear: nn.Linear, rows: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.register_buffer("rows", rows)
        self.register_buffer("scale", scale)
        bias: Tensor | None = linear.bias  # typed as always there
        self.register_buffer("bias", None if bias is None else bias.detach())

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "QuantisedLinear":
        # `model.to(dtype)` is for numbers that mean the same in another type; these only follow it to its device
        def moved(tensor: Tensor) -> Tensor:
            result = fn(tensor)
            return result if result.dtype == tensor.dtype else tensor.to(result.device)

        super()._apply(moved, recurse)  # type: ignore[no-untyped-call]
        return self

    def extra_repr(self) -> str:
        """The sizes, as those of `nn.Linear` are printed."""
        return (
            f"in_features={self.in_features}, out_features={self.out_features}, bias={self.bias is not None}"
        )
