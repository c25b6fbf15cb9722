"""Tolerances that say something of a method, not of one machine's kernels.

A sum in another order, or a kernel for other instructions, moves float32 values by a few of their last bits; how much
that is depends on how large the values are. So differences are measured in standard deviations of the values, and
every bound is at least four times what was seen on any kernel set: `tox -e kernels` runs the suite on several and lets
differences be no larger than a fourth of their bounds. Where the same kernels run in the same order, results are equal
bit for bit, and tests say so by `torch.equal`.
"""

import math
import os

from torch import Tensor

HEADROOM = float(os.environ.get("LIPAR_HEADROOM", "1"))
"""By how much every difference must stay below its bound; 4 in `tox -e kernels`."""


def spread(values: Tensor) -> float:
    """Standard deviation of all values; their size where all are the same, which rounding depends on then."""
    values = values.detach().double()
    return float(values.std(correction=0)) or float(values.abs().max())


def error(found: Tensor, expected: Tensor, *, of: Tensor | None = None) -> float:
    """Largest difference, in standard deviations.

    Args:
        found: of any shape; likewise `expected`, of the same shape.
        expected: what it should be.
        of: the values whose standard deviation is the unit; None: the expected ones. Give what both were computed
            from where the expected values are few, almost equal or nearly zero, so that their own spread says nothing.

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
    """Check that values differ by no more than rounding explains.

    Args:
        found: of any shape; likewise `expected`, of the same shape and type.
        expected: what it should be; no value is NaN or infinite.
        within: the largest difference that is allowed, in standard deviations as `error` has them.
        of: as for `error`.

    Raises:
        AssertionError: they differ by more, or in shape or type, or a value is NaN or infinite.
    """
    assert found.dtype == expected.dtype, f"type {found.dtype}, expected {expected.dtype}"
    off = error(found, expected, of=of)
    # so written, NaN fails as well
    assert off <= within / HEADROOM, f"off by {off:.2g} standard deviations, allowed {within / HEADROOM:.2g}"
