"""Shapes in signatures are checked in every test, by the quick decorator of conftest.py as by jaxtyping's own."""

from collections.abc import Iterator
from typing import Any

import jaxtyping
import pytest
import torch
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from signature_checks import check_signature, jaxtyped
from torch import Tensor

from lipar.sampling.flow import add_noise

DECORATORS = pytest.mark.parametrize("decorator", [check_signature, jaxtyped], ids=["quick", "full"])


def test_the_packages_under_test_are_checked(pytestconfig):
    if not pytestconfig.getoption("--jaxtyping-packages"):
        pytest.skip("this run checks no signatures")
    assert jaxtyping.jaxtyped is check_signature
    with pytest.raises(TypeCheckError):
        add_noise(torch.zeros(1, 2, 3, 4, 4), torch.zeros(1, 2, 3, 4, 5), 0.5)


@DECORATORS
def test_an_axis_has_one_size_in_all_arguments_and_the_answer(decorator):
    @decorator(typechecker=beartype)
    def first(one: Float[Tensor, "n"], other: Float[Tensor, "n"], count: int) -> Float[Tensor, "n"]:
        return one[:count]

    assert first(torch.zeros(3), torch.zeros(3), 3).shape == (3,)
    for wrong in (
        (torch.zeros(3), torch.zeros(4), 3),
        (torch.zeros(3), torch.zeros(3), 2),
        (torch.zeros(3).int(), torch.zeros(3), 3),
        (torch.zeros(3), torch.zeros(3), "3"),
    ):
        with pytest.raises(TypeCheckError):
            first(*wrong)


@DECORATORS
def test_sizes_hold_for_one_call_and_not_for_those_inside_or_after_it(decorator):
    @decorator(typechecker=beartype)
    def inner(x: Float[Tensor, "n"]) -> int:
        return len(x)

    @decorator(typechecker=beartype)
    def outer(x: Float[Tensor, "n"]) -> int:
        return inner(torch.cat([x, x]))

    assert [outer(torch.zeros(count)) for count in (2, 3)] == [4, 6]


def test_what_the_quick_decorator_leaves_to_jaxtyping_is_checked_too():
    @check_signature(typechecker=beartype)
    def named(x: Float[Tensor, "n"], other: "Nowhere") -> Any:  # type: ignore[name-defined]
        return other

    @check_signature(typechecker=beartype)
    def pieces(x: Float[Tensor, "n"], other: Float[Tensor, "n"]) -> Iterator[Tensor]:
        yield from x

    assert named(torch.zeros(1), 3) == 3
    assert len(list(pieces(torch.zeros(2), torch.ones(2)))) == 2
    for function in (named, pieces):
        with pytest.raises(TypeCheckError):
            function(torch.zeros(1, 1), torch.zeros(1))
