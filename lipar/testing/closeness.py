"""Tolerances that test a method and not the kernels of one machine.

A sum in another order, or a kernel for other instructions, changes the last bits of float32 values, by an amount that
depends on the size of the values. So differences are measured in standard deviations of the values, and every bound is
at least four times the largest difference on any kernel set: `tox -e kernels` runs the suite on several and allows only
a fourth of each bound. Where the same kernels run in the same order, results are equal bit for bit, and tests use
`torch.equal`.
"""

import math
import os

from torch import Tensor

HEADROOM = float(os.environ.get("LIPAR_HEADROOM", "1"))
"""Factor by which every difference must be below its bound; 4 in `tox -e kernels`."""


def spread(values: Tensor) -> float:
    """Standard deviation of all values; their size where all are equal, since rounding then depends on it."""
    values = values.detach().double()
    return float(values.std(correction=0)) or float(values.abs().max())


def error(found: Tensor, expected: Tensor, *, of: Tensor | None = None) -> float:
    """Largest absolute difference, in standard deviations.

    Args:
        found: values of any shape.
        expected: the right values, of the same shape.
        of: the values whose standard deviation is the unit; None: the expected ones. Give the inputs of the computation
            where the expected values are few, almost equal or almost zero, so that their own spread is no measure.

    Raises:
        AssertionError: the shapes differ.
    """
    assert found.shape == expected.shape, f"shape {list(found.shape)}, expected {list(expected.shape)}"
    if found.numel() == 0:
        return 0.0
    difference = float((found.detach().double() - expected.detach().double()).abs().max())
    if difference == 0:
        return 0.0
    unit = spread(expected if of is None else of)
    return difference / unit if unit else math.inf


def assert_near(found: Tensor, expected: Tensor, within: float, *, of: Tensor | None = None) -> None:
    """Check that values differ by no more than rounding.

    Args:
        found: values of any shape.
        expected: the right values, of the same shape and type, all finite.
        within: largest difference that is allowed, in the unit of `error`.
        of: the values whose standard deviation is the unit, see `error`.

    Raises:
        AssertionError: they differ by more, or in shape or type, or a value is NaN or infinite.
    """
    assert found.dtype == expected.dtype, f"type {found.dtype}, expected {expected.dtype}"
    off = error(found, expected, of=of)
    # in this form, NaN fails as well
    assert off <= within / HEADROOM, f"off by {off:.2g} standard deviations, allowed {within / HEADROOM:.2g}"
